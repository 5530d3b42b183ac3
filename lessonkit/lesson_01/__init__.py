"""What lesson 01 imports besides the modules that lessons share."""
