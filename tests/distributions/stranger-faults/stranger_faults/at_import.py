raise RuntimeError("the moon is in the wrong place.\nAnd more")
