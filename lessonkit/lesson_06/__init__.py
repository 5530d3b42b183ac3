"""What lesson 06 imports besides the modules that lessons share."""
