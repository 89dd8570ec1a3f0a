"""English prose from sentence templates and word banks.

An article draws every template at most once and fills it with names, places and things, so that two
articles share phrases but hardly any run of five words. No template names a colour or a thing that
`scripts.scenes` can draw: only the sentence that describes a picture does.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    "Agnes Albert Alma Amos Anton Beatrice Bruno Carla Cedric Clara Conrad Dora Edith Edmund "
    "Elsa Emil Esther Felix Flora Frieda Gideon Greta Harriet Hugo Ida Ines Irma Jonas Judith "
    "Karel Leonie Lothar Mabel Magnus Martha Milo Nora Oscar Paula Petra Rufus Selma Silas "
    "Stella Theo Ulla Vera Viktor Wanda Yvonne"
)
SURNAMES = _words(
    "Abbot Aldous Barlow Becker Birch Brandt Calloway Carver Colby Dahl Draper Eckhart Ellery "
    "Fenwick Forster Gable Gantry Hallam Hartley Hobbs Ingram Jessop Keller Kimball Lacey "
    "Lindqvist Mercer Molina Naylor Novak Oakley Osborn Pemberton Quill Rasmus Rowan Sadler "
    "Sorley Tanner Thorne Underhill Varga Vickers Weaver Whitcombe Yardley"
)
PLACES = _words(
    "Aldermoor Ashcombe Barrowick Bellhaven Brinsea Calderby Carrick Coldwell Copperfield "
    "Danesfoot Delmarsh Dunsmere Eastvale Elmsworth Fallowdale Farholt Fernhill Gallowby "
    "Glenmorrow Greystoke Halewick Harrowgate Hexley Holmstead Inverlea Kelderby Kingsholt "
    "Langmere Larkfield Lindow Marlpit Merrowdown Milverton Netherby Northolme Oldcastle "
    "Orrinton Penhallow Pikeworth Quarrendon Ravensholm Rushmere Saltmarsh Sandholt "
    "Silverdale Stonebeck Tarrant Thornby Tilling Upwell Vernham Wadebrook Westering Wickmoor "
    "Winterbourne Yarrowby"
)
# May is left out: at the end of a sentence some splitters take it for the start of a longer one.
MONTHS = _words("January February March April June July August September October November December")
_BANKS: dict[str, tuple[str, ...]] = {
    "month": MONTHS,
    "adj": _words(
        "quiet stubborn cheerful careful patient unlikely modest crooked handsome ordinary "
        "draughty generous muddy narrow splendid awkward curious faithful brisk sturdy gentle "
        "noisy remarkable simple worn restless humble peculiar sensible lively"
    ),
    "quality": (
        "patience",
        "silence",
        "confidence",
        "good light",
        "spare time",
        "company",
        "a steady table",
        "fresh air",
        "clean hands",
        "a sharp pencil",
        "warm boots",
        "plenty of coffee",
        "an honest neighbour",
    ),
    "span": (
        "a fortnight",
        "most of a winter",
        "the better part of a year",
        "nine days",
        "an entire afternoon",
        "about a decade",
        "eleven weeks",
        "half a lifetime",
        "several summers",
        "a long weekend",
    ),
    "relative": (
        "grandmother",
        "uncle",
        "godfather",
        "cousin",
        "mother",
        "brother",
        "great-aunt",
        "neighbour",
        "first teacher",
        "stepfather",
    ),
    "spot": (
        "the old station",
        "the parish hall",
        "the back room of the inn",
        "the lower quay",
        "the former dairy",
        "the chapel yard",
        "the end of Mill Lane",
        "the school kitchen",
        "the top of the hill",
        "the corner shop",
        "the weighbridge",
        "the reading room",
    ),
    "day": _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    "number": _words(
        "seven eight nine eleven twelve thirteen fourteen fifteen sixteen eighteen twenty thirty "
        "forty"
    ),
}


@dataclass(frozen=True)
class Topic:
    """What an article is about: words for its slots and sentences of its own."""

    title: str
    things: tuple[str, ...]
    tools: tuple[str, ...]
    acts: tuple[str, ...]
    role: str
    sentences: tuple[str, ...]


def _topic(title: str, things: str, tools: str, acts: str, role: str, *sentences: str) -> Topic:
    def cut(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(","))

    return Topic(title, cut(things), cut(tools), cut(acts), role, sentences)


TOPICS: tuple[Topic, ...] = (
    _topic(
        "Bread",
        "loaves, rolls, flatbreads, buns, crusts",
        "oven, mixing bowl, baking stone, wooden peel",
        "baking, kneading, weighing flour, feeding the starter",
        "baker",
        "A slow dough that rests in a cool cellar for {number} hours tastes of more than flour "
        "and water.",
        "{first} scores the top with an old razor and slides the dough into the oven before "
        "anyone else in {place} is awake.",
        "If the crumb is too tight, the {role} at {spot} will tell you that you were in a hurry.",
        "Rye from the fields behind {place} takes up less water than the books say, so the dough "
        "has to be watched.",
        "The starter came from {person}, who had kept it alive in a jar since {year}.",
        "On {day} the shelves are empty by nine, and those who slept late go home with a bag of "
        "crumbs.",
        "Salt goes in last, because {person} found out in {year} what happens when it does not.",
    ),
    _topic(
        "Bees",
        "hives, combs, frames, swarms, colonies",
        "smoker, hive tool, veil, honey press",
        "keeping bees, checking the frames, bottling honey, planting clover",
        "beekeeper",
        "A healthy colony hums at a pitch that {person} claims to hear from {spot}.",
        "In {month} the lime avenue near {place} is so loud with bees that people lower their "
        "voices under it.",
        "Wet springs are hard on a young queen, and {first} lost {number} colonies in {year} "
        "alone.",
        "The honey from the heath is thick enough to hold a spoon upright for {span}.",
        "Nobody who has been stung at {spot} forgets to tie the veil a second time.",
        "When a swarm settles on a gatepost in {place}, the {role} is called before the fire "
        "brigade.",
        "Wax is melted in {month}, filtered through a stocking and poured into moulds that "
        "belonged "
        "to {person}.",
    ),
    _topic(
        "Bicycles",
        "frames, wheels, pedals, chains, saddles",
        "truing stand, spoke wrench, oil can, vice",
        "mending bicycles, truing wheels, replacing brake cables, oiling chains",
        "mechanic",
        "A wheel that wobbles by the width of a coin will shake a rider all the way to {place}.",
        "{first} learned to lace spokes from a {role} who refused to use the same pattern again.",
        "The workshop at {spot} lends out its stand for free, provided the floor is swept "
        "afterwards.",
        "Most punctures in {place} come from the hawthorn that the council trims in {month}.",
        "There are {number} machines waiting for a new chain, and the shelf holds only one.",
        "A saddle from {year} still hangs above the door, cracked but softer than anything made "
        "since.",
        "Children pay for a repair by pumping up the tyres of whoever comes next.",
    ),
    _topic(
        "Clocks",
        "clocks, springs, pendulums, dials, cases",
        "loupe, mainspring winder, tiny screwdriver, lathe",
        "repairing clocks, cleaning movements, winding the tower clock, filing teeth",
        "clockmaker",
        "The tower clock of {place} loses {number} minutes a week, and everyone has learned to add "
        "them.",
        "A pendulum is only a weight on a rod, says {person}, but it must never be told so.",
        "Old oil turns to varnish, and the {role} spends more hours cleaning than mending.",
        "In {year} the hands stopped during a wedding, which is still taken as a good sign.",
        "{first} climbs the ladder to {spot} each {day} with a crank over the shoulder.",
        "The brass for the new teeth was cut from a doorplate that {person} had saved for {span}.",
        "Listen for the uneven tick first, because the ear finds a fault sooner than the eye.",
    ),
    _topic(
        "Singing",
        "songs, hymns, rounds, carols, harmonies",
        "tuning fork, harmonium, music stand, songbook",
        "singing in parts, rehearsing, copying music, warming up",
        "conductor",
        "The altos of {place} have held the same bench since {year} and do not intend to move.",
        "Before the first note the {role} makes everybody yawn, which is easier than it sounds.",
        "{first} joined for the biscuits and stayed for the low notes.",
        "In a room as dry as {spot} the basses can hear themselves breathe.",
        "A concert in {month} pays for the heating, and the heating pays for the next concert.",
        "Someone copied the second verse wrongly in {year}, and the choir has sung it that way "
        "ever "
        "since.",
        "The youngest singer is {number} years old and already corrects the pitch of her "
        "{relative}.",
    ),
    _topic(
        "Chess",
        "openings, endgames, boards, pawns, puzzles",
        "chess clock, score sheet, travelling board, club trophy",
        "playing chess, studying endgames, solving puzzles, writing down moves",
        "club champion",
        "The club meets at {spot} on {day} and argues about the opening long after the lights are "
        "out.",
        "{person} once thought about a single move for {span} and then offered a draw.",
        "Beginners are told to castle early and to distrust anyone from {place}.",
        "A pawn was lost in {year} and has been played as a bottle cap ever since.",
        "The {role} prefers quiet positions, because nothing hurts like a surprise at the end.",
        "There were {number} boards in the hall, and on each of them somebody was sighing.",
        "In the last round a schoolgirl from {place} beat the treasurer with a trick from an old "
        "newspaper.",
    ),
    _topic(
        "Pottery",
        "bowls, jugs, plates, tiles, jars",
        "wheel, kiln, turning tool, glaze bucket",
        "throwing pots, mixing glazes, loading the kiln, wedging clay",
        "potter",
        "Clay from the bank below {place} is full of grit, and the {role} sieves it for {span}.",
        "A kiln must cool as slowly as it was heated, so nobody is allowed to look before {day}.",
        "{first} broke {number} bowls in the first month and kept all of the pieces in a crate.",
        "The glaze ran down the side and stopped just above the foot, as if it had been asked to.",
        "Handles are pulled like dough and left to bend under their own weight.",
        "In {year} a whole firing cracked, and the path to {spot} is paved with what was left.",
        "You can hear whether a pot is sound by tapping it with a knuckle.",
    ),
    _topic(
        "Weaving",
        "blankets, ribbons, rugs, shawls, cloths",
        "loom, shuttle, spindle, carding brush",
        "weaving, spinning wool, setting up the loom, washing fleece",
        "weaver",
        "The loom at {spot} came over the hills in pieces and was put together by memory.",
        "It takes {span} to set up the warp and hardly a day to spoil it.",
        "{first} can tell from the smell of a fleece which side of {place} the sheep has grazed "
        "on.",
        "The {role} hums while the shuttle flies, and stops when a thread breaks.",
        "A rug of that size needs the wool of {number} sheep and the good will of one dog.",
        "Since {year} the guild has kept a sample of each cloth in a drawer that nobody may tidy.",
        "Wool that was washed in {month} dries too fast and feels like straw.",
    ),
    _topic(
        "Cheese",
        "wheels of cheese, curds, rinds, vats, moulds",
        "copper vat, curd knife, cheese press, cellar shelf",
        "making cheese, turning the wheels, salting rinds, stirring curds",
        "cheesemaker",
        "Milk from the upper pasture reaches {spot} while it is still warm.",
        "Each wheel is turned every {day} for {span}, and the cellar smells of nuts and damp "
        "stone.",
        "The {role} listens to the rind with a small hammer and shakes his head more often than "
        "not.",
        "In {year} a flood carried {number} wheels down to {place}, where they were eaten "
        "without a "
        "word.",
        "A good curd breaks like porcelain, according to {person}, and a bad one like a promise.",
        "Whey is given to the pigs, who know the delivery hour better than the driver does.",
        "Tourists ask for holes, but there have never been any in the cheese of {place}.",
    ),
    _topic(
        "Bookbinding",
        "books, covers, spines, pages, ledgers",
        "bone folder, sewing frame, glue pot, lying press",
        "binding books, sewing pages, pressing covers, mending spines",
        "bookbinder",
        "Glue made from wheat starch can be undone by the next person, which is the whole point.",
        "{first} sews the pages on linen tapes and pulls each stitch until it creaks.",
        "The parish ledger of {year} came in as a stack of crumbs and left as a volume again.",
        "A book that does not lie open has been bound by somebody in a temper, says the {role}.",
        "There are {number} kinds of paper in the cupboard at {spot}, and most of them are for "
        "wrapping lunch.",
        "Leather from {place} is thin at the edges because it is pared with a curved knife.",
        "The press is closed on {day} and opened after {span}, never sooner.",
    ),
    _topic(
        "Maps",
        "maps, contour lines, legends, borders, surveys",
        "compass, measuring chain, plane table, drawing pen",
        "drawing maps, measuring fields, naming paths, comparing surveys",
        "surveyor",
        "The survey of {year} left out the marsh near {place}, and it has been wet ever since.",
        "A footpath exists as soon as {number} people agree on where it goes.",
        "{first} walks every hedge with a notebook and asks the farmers for names.",
        "The {role} drew the hills from the side, so they look like loaves on a shelf.",
        "On the oldest sheet {place} is spelled in a way that makes the postman laugh.",
        "Paper shrinks in dry weather, and with it the distance to {spot}.",
        "Somebody pencilled a well into the margin, and the well was there.",
    ),
    _topic(
        "Hill walking",
        "paths, ridges, cairns, stiles, huts",
        "walking stick, rucksack, thermos flask, whistle",
        "walking, climbing the ridge, marking paths, counting stiles",
        "guide",
        "Above {place} the path gives up and leaves the rest to the sheep.",
        "It is {number} miles from {spot} to the hut, and the last of them is the longest.",
        "The {role} sets off slowly and is the only one who arrives without a blister.",
        "Fog came over the saddle in {month} and stayed with us for {span}.",
        "{first} carries a whistle, a map of the wrong valley and enough cake for everybody.",
        "A stile on the north side was built in {year} for taller people than we are.",
        "From the summit you can see as far as {place} and, with some faith, a little beyond.",
    ),
    _topic(
        "Canals",
        "locks, towpaths, sluices, barges, basins",
        "windlass, mooring line, dredger, lock beam",
        "opening locks, dredging, walking the towpath, painting barges",
        "lock keeper",
        "The lock at {place} fills in {number} minutes if nobody has left a plank in the sluice.",
        "{first} has opened the gates for coal, for gravel and lately for people on holiday.",
        "In dry years the basin near {spot} turns into a meadow with a crane in it.",
        "The {role} keeps a ledger of every barge since {year}, with a remark on the manners of "
        "the "
        "crew.",
        "Horses used to know where to stop, and the rope has worn grooves into the bridge.",
        "A heron stands below the weir each {day} and looks as if it collected the toll.",
        "It took {span} to dig the cutting, and the people of {place} still complain of the noise.",
    ),
    _topic(
        "The library",
        "shelves, catalogues, novels, atlases, reading lists",
        "card index, date stamp, rolling ladder, reading lamp",
        "lending books, repairing the card index, reading aloud, sorting returns",
        "librarian",
        "The library of {place} opens on {day} and closes when the stove goes out.",
        "A novel came back after {span} with a pressed leaf in it and an apology from the "
        "{relative}.",
        "{first} reads aloud to the children and does all the voices except the wolf.",
        "The {role} remembers what you borrowed in {year} and will ask you how it ended.",
        "There is a shelf at {spot} for books that nobody admits to having read.",
        "Fines are paid in apples, at a rate of {number} for each forgotten month.",
        "In the catalogue the almanac of {place} is filed under fiction.",
    ),
    _topic(
        "The theatre",
        "plays, costumes, scenes, curtains, props",
        "prompt book, thunder sheet, trapdoor, footlights",
        "rehearsing, building the set, sewing costumes, prompting",
        "stage manager",
        "The ghost at {spot} missed its cue in {year} and the audience never noticed.",
        "Thunder is made with a sheet of tin that hangs on {number} hooks above the stage.",
        "{first} has played every butler in the repertoire and now wants to be a king.",
        "The {role} counts the props after each show, and there is always a spoon too many.",
        "Half of {place} sits in the hall while the other half is waiting in the wings.",
        "A curtain that sticks in {month} runs like silk when the hall is empty.",
        "The prompter fell asleep in the second act, and the play became {span} longer.",
    ),
    _topic(
        "Orchards",
        "apples, pears, grafts, ladders, baskets",
        "cider press, pruning saw, picking ladder, grafting knife",
        "pruning, pressing cider, picking apples, grafting",
        "orchard keeper",
        "The apples above {place} are too sour to eat and just right for the press.",
        "A graft taken in {month} and bound with raffia will hold for {span}.",
        "{first} knows {number} sorts by their smell and most of them by their grandmother.",
        "Wasps arrive with the first windfalls, and the {role} works with rolled-down sleeves.",
        "In {year} the blossom froze and the press at {spot} stood idle until spring.",
        "The ladder has a single leg at the back so that it stands on any slope.",
        "Children from {place} are allowed to take what they can carry without a bag.",
    ),
    _topic(
        "Salt",
        "salt pans, crystals, dykes, rakes, brine",
        "wooden rake, brine pump, drying shed, wheelbarrow",
        "raking salt, pumping brine, mending dykes, filling sacks",
        "salt raker",
        "The pans near {place} are filled at the spring tide and left alone for {span}.",
        "{first} rakes towards the wind, because otherwise the crystals go down with the mud.",
        "A wet {month} can dissolve the work of {number} people before breakfast.",
        "The {role} tastes the brine with a finger and says nothing, which means that it is ready.",
        "Old dykes from {year} still hold, although nobody knows who paid for them.",
        "Sacks are stacked at {spot} under a roof that was once the deck of a ferry.",
        "In the evening the whole plain shines, and the geese come down on it by mistake.",
    ),
    _topic(
        "Glass",
        "bottles, beads, panes, lenses, marbles",
        "blowpipe, furnace, shears, annealing oven",
        "blowing glass, cutting panes, grinding lenses, sorting cullet",
        "glassblower",
        "Glass that cools too quickly breaks in {month}, long after it was sold.",
        "The furnace at {spot} has not been out since {year}, not even for the funeral of its "
        "owner.",
        "{first} turns the pipe without looking and talks about football in {place}.",
        "Sand from the quarry gives the bottles of {place} a tint that dealers pretend to dislike.",
        "The {role} needs {number} breaths for a carafe and a single one for a bead.",
        "Broken panes go back into the pot, so nothing in this shop is ever quite lost.",
        "A lens that {person} ground by hand took {span} and shows the far shore as if it were "
        "near.",
    ),
    _topic(
        "Radio",
        "valves, aerials, receivers, headphones, call signs",
        "soldering iron, wave meter, morse key, crystal set",
        "building receivers, listening to short waves, soldering, logging call signs",
        "radio amateur",
        "After dark the short waves carry voices from harbours that {first} has to look up.",
        "The aerial runs from the chimney to {spot} and sings when the wind is in the east.",
        "In {year} a message from {place} went around the world and came back from behind.",
        "The {role} keeps a log of {number} volumes and has met hardly anyone in it.",
        "A valve glows for {span} before it fails, usually during the news.",
        "Every {day} the club sends its greetings in morse, slowly, for the beginners.",
        "Static in {month} means thunder over {place} within the hour.",
    ),
    _topic(
        "Dry stone walls",
        "walls, copestones, gaps, footings, boulders",
        "walling hammer, string line, crowbar, batter frame",
        "building walls, mending gaps, sorting stone, setting copestones",
        "waller",
        "A wall without mortar stands because each stone leans on its neighbours.",
        "{first} picks up a stone once and never puts it down again without a place for it.",
        "The gap near {spot} was opened by a bull in {year} and mended in {span}.",
        "Rabbits use the holes at the foot, which the {role} leaves open on purpose.",
        "In {place} a yard of wall costs as much as {number} pints, and is paid in them.",
        "Frost in {month} moves the footings more than any traffic does.",
        "The long stones run through the wall and tie both faces together.",
    ),
    _topic(
        "The market",
        "stalls, cabbages, baskets, scales, awnings",
        "brass scale, cash box, folding table, delivery cart",
        "selling vegetables, haggling, setting up stalls, weighing potatoes",
        "stallholder",
        "By seven the stalls reach from {spot} to the church, and the scales are being checked.",
        "{first} sells cabbages by the story, and the longer ones cost extra.",
        "The market charter of {place} dates from {year} and forbids the sale of advice.",
        "A bell is struck at {number} minutes to one, and then the prices fall.",
        "The {role} from {place} gives a carrot to every dog that sits.",
        "In {month} there are more visitors than turnips, which nobody had planned for.",
        "What is left on {day} goes into a soup that has no recipe and no end.",
    ),
    _topic(
        "The village school",
        "lessons, desks, slates, school plays, exercise books",
        "slate, wall map, abacus, hand bell",
        "teaching, learning to read, ringing the bell, keeping the stove lit",
        "teacher",
        "There are {number} pupils in {place}, and they share a single pair of scissors.",
        "The stove at {spot} is lit by whoever was late on the day before.",
        "{first} taught long division with potatoes, some of which were then divided further.",
        "In {year} the inspector came on foot and stayed for {span} because of the mud.",
        "The {role} writes the weather on the board each {day} and lets the class correct it.",
        "A map from the time of the old borders hangs there to teach them doubt.",
        "When the bell rope broke in {month}, a saucepan did the work until summer.",
    ),
    _topic(
        "The post office",
        "parcels, stamps, postcards, sacks, addresses",
        "sorting frame, franking machine, mail bag, delivery bike",
        "sorting mail, delivering parcels, stamping cards, reading addresses",
        "postmaster",
        "A parcel from {place} was addressed to the man with the limp, and it arrived.",
        "{first} sorts the mail by gossip first and by street afterwards.",
        "The counter at {spot} closes at noon, except when there is news.",
        "In {year} a sack fell off the wagon and was found {span} later under a hedge.",
        "The {role} knows {number} ways to spell the name of the vicar and accepts them all.",
        "Stamps with the old bridge on them are sold out each {month}.",
        "Postcards are read on the way, which nobody in {place} holds against anyone.",
    ),
    _topic(
        "The museum",
        "exhibits, labels, cabinets, coins, fossils",
        "glass case, feather duster, guest book, magnifying lens",
        "labelling exhibits, dusting cabinets, giving tours, copying inscriptions",
        "curator",
        "The museum of {place} has {number} rooms and a key that fits all but one of them.",
        "{first} wrote the labels in {year} and has regretted the adjectives ever since.",
        "A fossil from the quarry lay at {spot} as a doorstop for {span}.",
        "The {role} gives tours on {day} and leaves out whatever the visitors already know.",
        "Coins from the marsh are kept in a drawer that must be lifted and pulled at once.",
        "In the guest book somebody from {place} has corrected a date, and was right.",
        "During {month} the attic is too hot for the moths and for everyone else.",
    ),
)

GENERIC: tuple[str, ...] = (
    "{person} moved to {place} in {month} {year} and has hardly talked about anything but {act} "
    "since then.",
    "Most people who take up {act} give in after {span}, but a few of them never stop.",
    "It was {relative_of} who first showed {first} how a {tool} should be held.",
    "There is a {adj} {tool} at {spot}, and nobody remembers who brought it there.",
    "When we asked about the {things}, the {role} only smiled and pointed towards {place}.",
    "You will need {quality}, {quality2} and a {tool} that was not made yesterday.",
    "The {things} of {place} are known for miles around, although nobody can say exactly why.",
    "In {year} there were {number} families in {place} who lived from {act}, and today there is "
    "one.",
    "On the first {day} of {month} everybody meets at {spot} to talk about {act}.",
    "What began as a {adj} hobby has become the reason why strangers get off the bus at {place}.",
    "A {role} should never work alone, because somebody has to hold the {tool}.",
    "My {relative} used to say that {things} are like relatives: you notice them when they are "
    "gone.",
    "If you ask in {place} for the {adj} {role}, you will be sent to {spot} and back again.",
    "The council wanted to close {spot} in {year}, but {person} would not hand over the key.",
    "It is not the {tool} that matters, as {first} keeps saying, but the hour at which you start.",
    "After {span} of {act} the hands know what to do before the head does.",
    "We had expected {things} and found a {adj} conversation instead.",
    "Between {month} and {month2} there is little to do but to look after the {things}.",
    "The older members came from {place}, the younger ones from wherever the rent is lower.",
    "{person} keeps a notebook about {act} in which no page is without a stain.",
    "For {span} the only {tool} in the district belonged to the {role} of {place}.",
    "Whoever comes to {spot} on a {day} is given a chair, a cup of tea and something to hold.",
    "Some of the {things} were sold, some were given away, and the rest are still at {spot}.",
    "The trick, according to {person}, is to begin with the {adj} ones and to be done by {month}.",
    "That year the {things} were so good that even {place} sent its compliments.",
    "No book on {act} mentions what to do when the {tool} is stolen on a {day}.",
    "Her {relative} had been a {role} as well, though a {adj} one by all accounts.",
    "We were told that the {tool} had been in use since {year}, and it looked like it.",
    "You can learn {act} in {span}, and then you can spend the rest of your life getting better at "
    "it.",
    "At {spot} there is a list of the people who have tried, and it has {number} names on it.",
    "Visitors from {place} are often surprised at how {adj} the whole business is.",
    "The {role} was not at home, so we talked to the dog and later to {person}.",
    "In the end it was {quality} that we lacked, and not the {tool}.",
    "Since the road to {place} was closed, the {things} have had to be carried down by hand.",
    "It would be wrong to call {first} a {role}, but there is no better word for it.",
    "Every {month} the same argument about {act} is held at {spot}, and it is never settled.",
    "By the time the {things} were ready, the guests had left for {place}.",
    "The society for {act} has {number} members, of whom a {adj} minority turns up.",
    "One has to admire the {role}, who has done all of this without a {adj} word.",
    "They had brought a {tool} from {place}, wrapped in a coat and tied with string.",
    "Nothing about the {things} is new, and that is what the people of {place} like about them.",
    "I asked {person} whether it was worth it, and the answer took {span}.",
    "There was a time when {act} was thought of as {adj}, and that time was {year}.",
    "Behind {spot} you can still see where the {things} used to be kept.",
    "We left {place} with more questions about {act} than we had come with.",
    "In a good year the {role} earns enough to mend the {tool}, and in a bad year not even that.",
    "All of it has to be done by hand, since no machine has the {quality} for it.",
    "The first thing that you notice in {place} is how {adj} everyone is before breakfast.",
    "Should the {tool} ever break, the whole of {spot} would have to be taken apart.",
    "What the {role} does on {day} is nobody's business, but we were allowed to watch.",
    "If there is a rule for {act}, it is that you must never do it in {month}.",
    "To this day the {things} are counted by {person}, who does not trust the ledger.",
    "A {adj} man from {place} offered to buy the {tool}, but it was not for sale.",
    "It is said that {act} keeps you young, and the {role} is proof that it does not.",
    "Once the {things} have been put away, there is time for a story about {place}.",
    "From {spot} it is only a short walk to where {first} keeps the {things}.",
)
_OPENERS = (
    "In the end,",
    "As a rule,",
    "To be fair,",
    "For most of us,",
    "Years later,",
    "As far as we know,",
    "All the same,",
    "Of course,",
    "At the time,",
    "By all accounts,",
    "Oddly enough,",
    "More often than not,",
    "Then again,",
    "If you are lucky,",
    "Even now,",
)
_TAILS = (
    "or so the older people in {place} say",
    "which came as a surprise to {person}",
    "although nobody has written it down",
    "and there are days when that is enough",
    "at least until {month}",
    "as {person} likes to point out",
    "but it was not always like that",
    "and we were glad of it",
    "whatever they may tell you in {place}",
    "so we stayed a little longer",
)
_CAN_BE_OPENED = re.compile(
    r"(The|A|An|It|There|We|They|Most|Some|Every|Nobody|Nothing|You|Whoever|On|If|When|Once) "
)
HEADINGS = (
    "How it all began in {place}",
    "What the {role} told us",
    "The {adj} years after {year}",
    "A word about the {tool}",
    "Why {place} is not {place2}",
    "What to bring and what to leave",
    "The people of {spot}",
    "Where the {things} are kept",
    "From {month} to {month2}",
    "A visit to {person}",
    "When the {tool} was lost",
    "What can still go wrong",
)
TITLES = (
    "{topic} in {place}: a {adj} beginning",
    "{topic} and the {adj} {role} of {place}",
    "How {place} learned to live with {topic_lower}",
    "A {day} in {place}, and what it taught us about {topic_lower}",
    "{person} on {topic_lower}, {things} and the road to {place}",
    "Notes on {topic_lower} from {place}",
    "The last {role} of {place}",
    "{topic} without hurry: {span} in {place}",
)


def repetitive(text: str, limit: float = 0.08) -> bool:
    """Whether a text would come near the cutoff of OBELICS on repeated characters (0.1).

    Source: OBELICS, character repetition ratio of 10-grams (arXiv 2306.16527, appendix A.2).
    """
    grams = Counter(text[i : i + 10] for i in range(len(text) - 9))
    repeated = sum(count > 1 for count in grams.values())
    top = min(math.isqrt(len(grams)), repeated)
    most = sum(count for _, count in grams.most_common(top))
    return most > limit * max(1, grams.total())


class Writer:
    """Fills templates for one article; every template is used at most once."""

    def __init__(self, topic: Topic, rng: random.Random) -> None:
        self._topic = topic
        self._rng = rng
        own, common = list(topic.sentences), list(GENERIC)
        rng.shuffle(own)
        rng.shuffle(common)
        self._templates = self._mix(own, common)
        self._headings = list(HEADINGS)
        rng.shuffle(self._headings)

    def _mix(self, own: list[str], common: list[str]) -> Iterator[str]:
        while own or common:
            take_own = own and (not common or self._rng.random() < 0.45)
            yield (own if take_own else common).pop()

    def fill(self, template: str) -> str:
        rng, topic = self._rng, self._topic
        place, place2 = rng.sample(PLACES, 2)
        month, month2 = rng.sample(MONTHS, 2)
        quality, quality2 = rng.sample(_BANKS["quality"], 2)
        values = {name: rng.choice(bank) for name, bank in _BANKS.items()}
        values |= {
            "first": rng.choice(FIRST_NAMES),
            "person": f"{rng.choice(FIRST_NAMES)} {rng.choice(SURNAMES)}",
            "relative_of": f"the {values['relative']} of {rng.choice(FIRST_NAMES)} "
            f"{rng.choice(SURNAMES)}",
            "place": place,
            "place2": place2,
            "month": month,
            "month2": month2,
            "quality": quality,
            "quality2": quality2,
            "year": str(rng.randint(1871, 2016)),
            "things": rng.choice(topic.things),
            "tool": rng.choice(topic.tools),
            "act": rng.choice(topic.acts),
            "role": topic.role,
            "topic": topic.title,
            "topic_lower": topic.title[0].lower() + topic.title[1:],
        }
        text = template.format_map(values)
        return re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", text)

    def sentence(self) -> str:
        """The next sentence.

        Raises:
          ValueError: the templates of the topic are used up.
        """
        template = next(self._templates, None)
        if template is None:
            raise ValueError(f"no sentence left about {self._topic.title!r}")
        if self._rng.random() < 0.3 and _CAN_BE_OPENED.match(template):
            template = f"{self._rng.choice(_OPENERS)} {template[0].lower()}{template[1:]}"
        if self._rng.random() < 0.25 and template.endswith(".") and len(template) < 105:
            template = f"{template[:-1]}, {self._rng.choice(_TAILS)}."
        return self.fill(template)

    def heading(self) -> str:
        return self.fill(self._headings.pop())

    def title(self) -> str:
        return self.fill(self._rng.choice(TITLES))

    def byline(self) -> str:
        return self.fill("{person}")
