"""What lesson 11 imports besides the modules that lessons share."""
