"""Many design points: sweeps over targets and options, and edits that make a model fit."""
