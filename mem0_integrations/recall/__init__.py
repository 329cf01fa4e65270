"""A recall's way: what is looked for, how it is weighed, and how a model reads it."""
