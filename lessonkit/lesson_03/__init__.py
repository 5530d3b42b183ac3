"""What lesson 03 imports besides the modules that lessons share."""
