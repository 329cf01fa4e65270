"""A change's way: on disk, carried out once, told on to what follows the memories."""
