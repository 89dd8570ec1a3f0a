"""WARC and ARC files: members, records, payloads."""
