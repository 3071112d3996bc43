"""The text of files of points."""


def xml(body, x="1", root="CellCounter_Marker_File", kind="<Type>2</Type>"):
    marker = f"<Marker><MarkerX>{x}</MarkerX><MarkerY>2</MarkerY><MarkerZ>3</MarkerZ></Marker>"
    group = f"<Marker_Type>{kind}{body.replace('@', marker)}</Marker_Type>"
    return f"<{root}><Marker_Data>{group}</Marker_Data></{root}>"


def yaml(body, count=1):
    head = f"CellCounter_Marker_File: true\nnum_candidates: {count}\ncandidate_cells:"
    return head + body


ITEM = "\n  - x: 1\n    y: 2\n    z: 3\n    type: 2\n    metadata: {}\n"
