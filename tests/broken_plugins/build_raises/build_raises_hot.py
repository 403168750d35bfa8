def build(context):
    raise RuntimeError("no head today")
