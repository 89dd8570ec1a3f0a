"""WARC and ARC files: members, records, payloads. No Beam here."""
