"""What lesson 12 imports besides the modules that lessons share."""
