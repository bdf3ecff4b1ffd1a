"""The hash function of SLIP on the IBM 7094, by which ELIZA chooses what to remember."""

# The machine's six-bit character code, eight to a row (P. Sherman, Programming and Coding the
# IBM 709-7090-7094 Computers, 1963, p. 62); \0 where it has no character that matters here.
_BCD = (
    "01234567" "89\0='\0\0\0" "+ABCDEFG" "HI\0.)\0\0\0"
    "-JKLMNOP" "QR\0$*\0\0\0" " /STUVWX" "YZ\0,(\0\0\0"
)  # fmt: skip
_WORD = 6  # characters in a machine word of 36 bits


def slip_hash(word: str, bits: int) -> int:
    """The middle `bits` bits (at most 15) of the square of the last cell of `word`.

    SLIP keeps six characters to a cell, padded with blanks (CACM 6(9) 1963, p. 524-536), and
    HASH squares its 35 bits of magnitude (MIT archive, folder "FAP"). The paper's own example
    holds: "always" gives 14 in 7 bits (CACM 9(1) 1966, p. 38). What the machine could not write
    counts as a blank.
    """
    cell = word[max(len(word) - 1, 0) // _WORD * _WORD :].upper().ljust(_WORD)
    datum = 0
    for character in cell[:_WORD]:
        code = _BCD.find(character)
        datum = datum << 6 | (code if code >= 0 else _BCD.index(" "))
    magnitude = datum & (1 << 35) - 1
    return magnitude * magnitude >> 35 - bits // 2 & (1 << bits) - 1
