"""People, their seats in organisations from a day until a day, and what a seat may do. The one gate is `queries`."""
