"""Pictures, read without a library."""

import struct
import zlib


def grey_of(png):
    """Return width, height and one byte a pixel of a PNG of 8 bits a channel."""
    at, packed = 8, b""
    while at < len(png):
        length, kind = struct.unpack_from(">L4s", png, at)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">LLBB", png, at + 8)
        if kind == b"IDAT":
            packed += png[at + 8 : at + 8 + length]
        at += 12 + length
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    assert depth == 8
    raw, grey, above = zlib.decompress(packed), bytearray(), bytearray(width * channels)
    for y in range(height):
        start = y * (width * channels + 1)
        way, line = raw[start], bytearray(raw[start + 1 : start + 1 + width * channels])
        for i in range(len(line)) if way else ():
            left = line[i - channels] if i >= channels else 0
            if way == 1:
                guess = left
            elif way == 2:
                guess = above[i]
            elif way == 3:
                guess = (left + above[i]) // 2
            else:
                corner = above[i - channels] if i >= channels else 0
                near = left + above[i] - corner
                guess = min((left, above[i], corner), key=lambda v: abs(near - v))
            line[i] = (line[i] + guess) & 255
        grey += line[::channels]
        above = line
    return width, height, bytes(grey)
