"""Articles in other languages, which the language rule must reject."""

FOREIGN: dict[str, tuple[str, tuple[str, ...]]] = {
    "de": (
        "Der alte Bahnhof bekommt ein neues Dach",
        (
            "Am kleinen Bahnhof zwischen den Feldern wird seit dem Frühjahr wieder gearbeitet. Das "
            "Dach war über Jahre undicht, und im Winter standen die Reisenden im Wartesaal unter "
            "ihren Schirmen. Nun haben die Bewohner des Ortes beschlossen, die Sache selbst in die "
            "Hand zu nehmen.",
            "Jeden Samstag treffen sich zwanzig Freiwillige, um alte Ziegel abzunehmen, Balken zu "
            "prüfen und neue Latten zu nageln. Wer nicht klettern mag, kocht Suppe für die anderen "
            "oder erzählt den Kindern, wie hier früher die Dampfzüge hielten.",
            "Bis zum Herbst soll alles fertig sein. Dann wird es ein Fest geben, zu dem auch die "
            "Bahn eingeladen ist, obwohl sie für die Arbeiten keinen Pfennig bezahlt hat.",
        ),
    ),
    "fr": (
        "Le marché du samedi retrouve sa place",
        (
            "Depuis le mois de mars, le marché du samedi est revenu sous les platanes, devant la "
            "mairie. Les marchands étaient partis pendant les travaux et beaucoup d'habitants "
            "craignaient de ne plus jamais les revoir.",
            "On y trouve aujourd'hui des légumes de la vallée, du fromage de chèvre et le pain "
            "d'un jeune boulanger qui se lève à trois heures du matin. Les prix ne sont pas plus "
            "élevés qu'avant, et l'on peut goûter presque tout.",
            "La mairie a promis que la fontaine serait réparée avant l'été. En attendant, les "
            "enfants jouent autour du bassin vide pendant que leurs parents discutent de la pluie "
            "et du beau temps.",
        ),
    ),
    "es": (
        "La biblioteca que viaja en autobús",
        (
            "Cada martes llega a la plaza un autobús lleno de libros. Lo conduce una maestra "
            "jubilada que decidió llevar la lectura a los pueblos donde ya no queda ninguna "
            "escuela abierta.",
            "Los vecinos pueden llevarse tres libros durante dos semanas y nadie paga multa si se "
            "retrasa. Muchos niños esperan en la esquina desde temprano, y los mayores piden "
            "novelas con letra grande y finales felices.",
            "El ayuntamiento paga la gasolina, pero el resto sale de las donaciones. El año que "
            "viene quieren comprar una segunda estantería y un toldo para los días de lluvia.",
        ),
    ),
    "ja": (
        "山の村の小さな郵便局",
        (
            "山の奥にある小さな村には、今でも木造の郵便局が残っています。局長は毎朝六時に起きて、"
            "ストーブに火を入れ、届いたばかりの手紙を一通ずつ確かめます。",
            "冬になると雪が深くなり、配達には半日かかることもあります。それでも村の人たちは、"
            "温かいお茶を用意して局長の到着を待っています。手紙だけでなく、町のうわさ話も一緒に"
            "届くからです。",
            "来年は新しい道路ができる予定ですが、局長は歩いて配達を続けるつもりだと話しています。",
        ),
    ),
}
