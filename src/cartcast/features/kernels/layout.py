"""Where everything lies in memory: operations, registers, `work`, states, pools. Nowhere else.

All is words of eight bytes unless said otherwise. Kernels get addresses in a `work` and read what
they point to; so a place in this file that is wrong reads other memory. Everything that touches
these words (kernels, `live`, `folder`, `passes`, `encode`, `stored`) imports its places from here,
and machine code made from other places is never loaded (`kernels.compiled`).

**Registers** are rows of `size` words, one word per event of a block: register r of event j is at
word `r * size + j`. Event registers have a blank row before them, number -1: it is what an
operation without an operand reads, and makes no use of. Masks are rows of `size` bytes; the last
one holds always.

**A live event's work** has its registers behind it, and size 1:

    0 ... 9    `STAGE_1` to `QUEUED`
    10         blank (event register -1)
    11 ...     event registers, the inputs first; then value registers

**A queue of live events** (`QUEUED` is not 0) has a row of words per event: of each feature set the
addresses of state and pool and the size of the pool (0, 0, 0: none), then what the inputs are
picked from. The values of each event get a row of value registers of their own.

**A chunk's work** (`CHUNK`) holds sizes, addresses, and where the fold stood when it returned.

**A state** is a row of words, in a chunk with `HEAD` words before it. Each reduction has its own
words from its `OFFSET` on:

    COUNT SUM MIN MAX FIRST LAST DECAY_*   the value (a number, or the word of a text)
    SAME, PREVIOUS, GAP, DECAY_SECONDS     the previous key, mask or time
    ABOVE_AVERAGE    AVERAGE_MAP, AVERAGE_SIZE; an entry of the map: key, count, sum, unused
    STD              STD_N, STD_MEAN, STD_SQUARES (of deviations)
    NUNIQUE          NUNIQUE_N, 64 bits; and at its `B`: 192 bits, SET_MAP, SET_SIZE, SET_INLINE...
    MODE             MODE_BEST, MODE_COUNT, MODE_MAP, MODE_SIZE; an entry of the map: key, count
    WITHIN           WITHIN_SIZE, WITHIN_RING, WITHIN_FIRST (`NOTHING` before the first time)
    SINCE_*          SINCE_TIME, SINCE_LATEST (time of the latest event)

**A pool** is one array: word 0 is the first word never used; word k (1 ... 47) heads the list of
free blocks of 2**k words, each of which begins with the place of the next. A reference packs a
block's place and size: `place << 6 | k`; 0 is none.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cartcast.features.kernels import codes

__all__ = [
    "CHUNK",
    "ENDS",
    "HASH",
    "MOVE",
    "PAST",
    "POOLED",
    "STORED",
    "VOCABULARY",
    "Block",
    "Layout",
]

WORD: Final = 8
"""Bytes of a word."""

# An operation: eight words. `OUT`, `A` and `B` are numbers of event registers, masks or value
# registers, by the stage; `REAL` holds the bits of a float64.
CODE, OUT, A, B, MASK, OFFSET, WHOLE, REAL = range(8)
ROW: Final = 64
"""Bytes of one operation."""


class Block(NamedTuple):
    """What the stages work on; all but the sizes are addresses.

    Attributes:
        size: events that a register can hold.
        ops: the program.
        ev: event registers, the blank one first, then the inputs.
        mk: masks.
        state: by event, the address of its session's state.
        emit: by event, the place for its values; an event whose values are not wanted has the
            place of the next one that is, and is written over by it.
        rg: value registers, by place.
        pool: blocks of what grows.
        pool_words: of the pool.
    """

    size: int
    ops: int
    ev: int
    mk: int
    state: int
    emit: int
    rg: int
    pool: int
    pool_words: int


class Layout(NamedTuple):
    """The words of a `work`: how many, and which of them are addresses.

    Attributes:
        words: in all.
        addresses: by place, what lies there and the bytes of one of its elements.
    """

    words: int
    addresses: dict[int, tuple[str, int]]


# The first words of the work of a live event and of a chunk. REGISTERS: how many event registers a
# live event has, -1 for a chunk. PHASE, OPERATION, EVENT: where to go on.
STAGE_1, STAGE_2, STAGE_3, REGISTERS, PHASE, OPERATION, EVENT = range(7)
EVENTS, REDUCTIONS, NEXT_BLOCK = range(3)  # phases

# A live event: two words of the kernel's own, whether a queue is folded, the blank register,
# and the first event register.
STATE, EMIT, QUEUED, BLANK, FIRST = 7, 8, 9, 10, 11
# The plan of a queue: rows folded and to fold, words of a row, place of this set's addresses in it;
# address and words of the rows of values; how many inputs, then the place of each in a row.
Q_DONE, Q_ROWS, Q_WORDS, Q_HEAD, Q_OUT, Q_OUT_WORDS, Q_INPUTS, Q_PICKS = range(8)

# The rows of a chunk and its columns (0: there is none, see `fold.enter`).
AT, ROWS, HASHES, ORDERS, LAST, PLACE, WANTED, WANTED_SIZE, STRICT = range(7, 16)
INPUTS, N_INPUTS, OUTS, PLACES, CLICK, PART, PARTS, NULLS = range(16, 24)
# The thread's block of events.
SIZE, BLOCK_N, BLOCK_M, BLOCK_ROW, BLOCK_STATE, BLOCK_EMIT, BLOCK_PLACE, EV, RG = range(24, 33)
# Open sessions: a table of (hash, slot), slots given back, states with their heads.
TABLE, TABLE_SIZE, USED, FREE, N_FREE, NEXT, CAPACITY, STATES, STATE_WORDS = range(33, 42)
# The program.
INIT, INIT_WORDS, OUTPUTS, N_OUTPUTS, POOLED_AT, N_POOLED = range(42, 48)

CHUNK: Final = Layout(
    48,
    {
        HASHES: ("hashes", 8), ORDERS: ("orders", 8), LAST: ("last", 1), PLACE: ("place", 4),
        WANTED: ("wanted", 1), INPUTS: ("inputs", 8), OUTS: ("out", 8), CLICK: ("click", 8),
        NULLS: ("nulls", 8), BLOCK_ROW: ("block rows", 8), BLOCK_STATE: ("block states", 8),
        BLOCK_EMIT: ("block emit", 8), BLOCK_PLACE: ("block places", 8),
        EV: ("event registers", 8), RG: ("value registers", 8), TABLE: ("table of sessions", 8),
        FREE: ("free slots", 8), STATES: ("states", 8), INIT: ("init", 8),
        OUTPUTS: ("outputs", 8), POOLED_AT: ("pooled", 8),
    },
)  # fmt: skip

HEAD: Final = 2
"""Words before a state in a chunk: clicks so far, event_order of the latest."""

# The ends of sessions (`ends`): the batch, scratch by code, the table of sessions, bitmaps, and the
# part of the sessions that this pass looks at.
E_BEGIN, E_N, E_CODES, E_HASHES, E_N_HASHES, E_ORDERS, E_FIRST_OF, E_LAST_OF, E_SEEN_OF = range(9)
E_TABLE, E_SIZE, E_USED, E_FIRST, E_LAST, E_PART, E_PARTS, E_GAP = range(9, 17)
ENDS: Final = Layout(
    17,
    {
        E_CODES: ("codes", 4), E_HASHES: ("hashes", 8), E_ORDERS: ("orders", 8),
        E_FIRST_OF: ("first row by code", 4), E_LAST_OF: ("last row by code", 4),
        E_SEEN_OF: ("order by code", 8), E_TABLE: ("table of sessions", 8),
        E_FIRST: ("first rows", 1), E_LAST: ("last rows", 1),
    },
)  # fmt: skip
END: Final = 3
"""Words of a session in that table: hash, latest row (-1: none), its event_order."""

# A table to be copied into a larger one (`fold.rehash`, `ends.move_ends`, `history.regrow`).
M_OLD, M_OLD_SIZE, M_NEW, M_NEW_SIZE, M_PART, M_PARTS, M_WIDTH = range(7)
MOVE: Final = Layout(7, {M_OLD: ("old table", 8), M_NEW: ("new table", 8)})

# The visitors' pasts (`history`): columns of a batch, the table, and what is found.
P_START, P_N, P_VISITORS, P_SESSION, P_NOW, P_TYPES, P_KINDS, P_N_KINDS = range(8)
P_TABLE, P_SIZE, P_USED, P_OUT, P_COLUMNS = range(8, 13)
PAST: Final = Layout(
    13,
    {
        P_VISITORS: ("visitors", 8), P_SESSION: ("first rows", 1), P_NOW: ("times", 8),
        P_TYPES: ("words by column", 8), P_KINDS: ("kinds", 8),
        P_TABLE: ("table of visitors", 8), P_OUT: ("pasts", 8),
        P_COLUMNS: ("column of each kind", 8),
    },
)  # fmt: skip
# A visitor's row in that table: key, sessions begun, latest time, then a count per kind.
V_KEY, V_SESSIONS, V_LATEST, V_COUNTS = range(4)

# Texts to be hashed (`hashing`): bytes of an Arrow column; offsets of 4 bytes, or 8 where wide.
H_OFFSETS, H_WIDE, H_DATA, H_OUT, H_N = range(5)
HASH: Final = Layout(5, {H_OFFSETS: ("offsets", 1), H_DATA: ("letters", 1), H_OUT: ("hashes", 8)})

# A vocabulary (`output`): a table of hashes and the code of each; words to put in or look up.
W_WORDS, W_N, W_KEYS, W_SIZE, W_CODES, W_OUT = range(6)
VOCABULARY: Final = Layout(
    6, {W_WORDS: ("words", 8), W_KEYS: ("keys", 8), W_CODES: ("codes", 4), W_OUT: ("found", 4)}
)

# A stored state to be looked over (`sound`); a byte for each word of its pool.
S_OPS, S_N_OPS, S_STATE, S_POOL, S_POOL_WORDS, S_SEEN = range(6)
STORED: Final = Layout(
    6, {S_OPS: ("program", 8), S_STATE: ("state", 8), S_POOL: ("pool", 8), S_SEEN: ("seen", 1)}
)

# Words of the states of reductions that have several.
AVERAGE_MAP, AVERAGE_SIZE = range(2)
STD_N, STD_MEAN, STD_SQUARES = range(3)
NUNIQUE_N, NUNIQUE_BITS = range(2)
SET_BITS, SET_MAP, SET_SIZE, SET_INLINE = 0, 3, 4, 5
MODE_BEST, MODE_COUNT, MODE_MAP, MODE_SIZE = range(4)
WITHIN_SIZE, WITHIN_RING, WITHIN_FIRST = range(3)
SINCE_TIME, SINCE_LATEST = range(2)

INLINE: Final = 4
"""Different values that a set keeps in the state itself, before a block is taken."""

POOLED: Final[dict[int, tuple[int, int]]] = {
    codes.ABOVE_AVERAGE: (AVERAGE_MAP, 2),
    codes.NUNIQUE: (SET_MAP, 0),
    codes.MODE: (MODE_MAP, 1),
    codes.WITHIN: (WITHIN_RING, 0),
}
"""Which word of an operation's state (of `NUNIQUE`, of its words at `B`) refers to the pool, and
log2 of the words per entry of the block."""

POOL_HEAD: Final = 48
"""Words of a pool before its blocks."""
