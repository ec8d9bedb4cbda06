"""Hiệp đồng runs a coordination regulation (quy chế phối hợp) from its signing to the conference that reviews it."""
