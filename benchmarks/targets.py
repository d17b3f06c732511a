"""What the suite is held against: ratios to the official saver in the same run, unless said."""

# Added time of a turn, by messages of the thread; in all durability modes.
ADDED_TIME = {20: 0.45, 800: 0.20, 3_000: 0.10}
ADDED_TIME_OF_A_SMALL_GRAPH = 0.45
# WAL a turn, by messages; and of the longest thread to the shortest, of ours alone.
WAL = {800: 0.02}
WAL_BY_LENGTH = 1.3
WAL_OF_ONE_FILE = 0.05
TABLES = {250: 0.08}
GET_TUPLE = {800: 0.30}
LIST_20 = {800: 0.15}
PUT_WRITES = 0.8
PUT_WRITES_TO_FLOOR = 1.3
# Turns a second.
CONCURRENT = 2.5
DELTA = 0.5
