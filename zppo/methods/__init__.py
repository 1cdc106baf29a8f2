"""The training methods, one small file a family; `choose` finds the one that a recipe names."""
