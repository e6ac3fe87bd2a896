#include "textflag.h"

// bits has the bit of each lane in a mask of eight.
DATA bits<>+0(SB)/8, $0x8040201008040201
DATA bits<>+8(SB)/8, $0x8040201008040201
GLOBL bits<>(SB), RODATA|NOPTR, $16

// highs has bit h in byte h for each high nibble below 8, and nothing for those of bytes above 0x7f.
DATA highs<>+0(SB)/8, $0x8040201008040201
DATA highs<>+8(SB)/8, $0
GLOBL highs<>(SB), RODATA|NOPTR, $16

// WORD leaves in R7 a bit of each lane of V17 to V20 that has one of those of V0 to V3, or of others.
#define WORD(a, b, c, d) \
	VCMTST V17.B16, a.B16, V17.B16    \
	VCMTST V18.B16, b.B16, V18.B16    \
	VCMTST V19.B16, c.B16, V19.B16    \
	VCMTST V20.B16, d.B16, V20.B16    \
	VAND   V10.B16, V17.B16, V17.B16  \
	VAND   V10.B16, V18.B16, V18.B16  \
	VAND   V10.B16, V19.B16, V19.B16  \
	VAND   V10.B16, V20.B16, V20.B16  \
	VADDP  V18.B16, V17.B16, V17.B16  \
	VADDP  V20.B16, V19.B16, V19.B16  \
	VADDP  V19.B16, V17.B16, V17.B16  \
	VADDP  V17.B16, V17.B16, V17.B16  \
	VMOV   V17.D[0], R7

// NIBBLES makes of bytes the bits of their high nibbles, and of the low ones an index.
#define NIBBLES(high, low) \
	VAND  V8.B16, high.B16, low.B16       \
	VUSHR $4, high.B16, high.B16          \
	VTBL  high.B16, [V11.B16], high.B16

// func splitNEON(dst *Group, text *[512]byte, nibbles *[24][16]byte, classes int)
//
// A byte is of a class if the class's set of high nibbles, found by the low nibble, holds its high nibble.
TEXT ·splitNEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD text+8(FP), R1
	MOVD nibbles+16(FP), R2
	MOVD classes+24(FP), R3
	MOVD $8, R8
	ADD  $64, R0            // the words before are those of the blocks before

	VMOVI $15, V8.B16
	VMOVI $128, V9.B16
	MOVD  $bits<>(SB), R5
	VLD1  (R5), [V10.B16]
	MOVD  $highs<>(SB), R5
	VLD1  (R5), [V11.B16]

block:
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]
	VMOV   V9.B16, V17.B16
	VMOV   V9.B16, V18.B16
	VMOV   V9.B16, V19.B16
	VMOV   V9.B16, V20.B16
	WORD(V0, V1, V2, V3)
	MOVD   R7, 2944(R0)
	NIBBLES(V0, V4)
	NIBBLES(V1, V5)
	NIBBLES(V2, V6)
	NIBBLES(V3, V7)

	MOVD R2, R4
	MOVD R0, R6
	MOVD R3, R5
	CBZ  R5, done

class:
	VLD1.P 16(R4), [V16.B16]
	VTBL   V4.B16, [V16.B16], V17.B16
	VTBL   V5.B16, [V16.B16], V18.B16
	VTBL   V6.B16, [V16.B16], V19.B16
	VTBL   V7.B16, [V16.B16], V20.B16
	WORD(V0, V1, V2, V3)
	MOVD   R7, (R6)
	ADD    $128, R6
	SUBS   $1, R5
	BNE    class

done:
	ADD  $8, R0
	SUBS $1, R8
	BNE  block
	RET
