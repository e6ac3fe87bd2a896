#include "textflag.h"

// bits has the bit of each lane in a mask of eight.
DATA bits<>+0(SB)/8, $0x8040201008040201
DATA bits<>+8(SB)/8, $0x8040201008040201
GLOBL bits<>(SB), RODATA|NOPTR, $16

// HALVES puts the low and high halves of the 16 bytes at R1 into registers.
#define HALVES(low, high) \
	VLD1  (R1), [low.B16]             \
	VUSHR $4, low.B16, high.B16       \
	VAND  V8.B16, low.B16, low.B16

// GROUP adds to V9 what the tables at R4, four places of low and high halves, leave of a group of eight buckets.
#define GROUP \
	VLD1.P 64(R4), [V16.B16, V17.B16, V18.B16, V19.B16] \
	VLD1.P 64(R4), [V20.B16, V21.B16, V22.B16, V23.B16] \
	VTBL   V0.B16, [V16.B16], V16.B16                   \
	VTBL   V1.B16, [V17.B16], V17.B16                   \
	VTBL   V2.B16, [V18.B16], V18.B16                   \
	VTBL   V3.B16, [V19.B16], V19.B16                   \
	VTBL   V4.B16, [V20.B16], V20.B16                   \
	VTBL   V5.B16, [V21.B16], V21.B16                   \
	VTBL   V6.B16, [V22.B16], V22.B16                   \
	VTBL   V7.B16, [V23.B16], V23.B16                   \
	VAND   V16.B16, V17.B16, V16.B16                    \
	VAND   V18.B16, V19.B16, V18.B16                    \
	VAND   V20.B16, V21.B16, V20.B16                    \
	VAND   V22.B16, V23.B16, V22.B16                    \
	VAND   V16.B16, V18.B16, V16.B16                    \
	VAND   V20.B16, V22.B16, V20.B16                    \
	VAND   V16.B16, V20.B16, V16.B16                    \
	VORR   V16.B16, V9.B16, V9.B16

// QUARTER leaves in a register the bits of those of 16 offsets that pass, and steps over them.
#define QUARTER(some) \
	HALVES(V0, V1)                     \
	ADD    $1, R1                      \
	HALVES(V2, V3)                     \
	ADD    $1, R1                      \
	HALVES(V4, V5)                     \
	ADD    $1, R1                      \
	HALVES(V6, V7)                     \
	ADD    $13, R1                     \
	MOVD   R0, R4                      \
	VEOR   V9.B16, V9.B16, V9.B16      \
	GROUP                              \
	GROUP                              \
	GROUP                              \
	GROUP                              \
	VCMTST V9.B16, V9.B16, some.B16    \
	VAND   V10.B16, some.B16, some.B16

// func scanNEON(t *neon, text *byte, masks []uint64)
TEXT ·scanNEON(SB), NOSPLIT, $0-40
	MOVD t+0(FP), R0
	MOVD text+8(FP), R1
	MOVD masks_base+16(FP), R2
	MOVD masks_len+24(FP), R3

	VMOVI $15, V8.B16
	MOVD  $bits<>(SB), R5
	VLD1  (R5), [V10.B16]

loop:
	QUARTER(V24)
	QUARTER(V25)
	QUARTER(V26)
	QUARTER(V27)

	// Bits of neighbours are added up until each byte holds those of eight offsets.
	VADDP V25.B16, V24.B16, V24.B16
	VADDP V27.B16, V26.B16, V26.B16
	VADDP V26.B16, V24.B16, V24.B16
	VADDP V24.B16, V24.B16, V24.B16
	VMOV  V24.D[0], R4
	MOVD.P R4, 8(R2)

	SUBS $1, R3
	BNE  loop
	RET
