"""What lesson 02 imports besides the modules that lessons share."""
