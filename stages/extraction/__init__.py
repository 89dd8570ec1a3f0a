"""HTML to an interleaved document: pure functions, no Beam."""
