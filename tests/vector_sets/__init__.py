"""One module per set of shared vectors: how our decoder's result is put in the vectors' words."""
