"""Knowledge: bases of documents, how these become chunks that can be found, and how they are found. Not how texts
become vectors.
"""
