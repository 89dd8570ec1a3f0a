"""Parts of the sample crawl: prose, pictures, page layouts, special cases and WARC files."""
