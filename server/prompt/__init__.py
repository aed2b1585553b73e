"""Prompts: the templates of a tenant, their versions and the labels that point at them, their variables and how a
version becomes the text that a model is sent.
"""
