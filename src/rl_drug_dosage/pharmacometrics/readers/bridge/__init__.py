"""From a model as its authors wrote it to a `DrugModel`: statements, random effects, structure, units, errors."""
