"""What lesson 00 imports besides the modules that lessons share."""
