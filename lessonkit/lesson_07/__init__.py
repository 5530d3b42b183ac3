"""What lesson 07 imports besides the modules that lessons share."""
