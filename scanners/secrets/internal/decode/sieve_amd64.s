#include "go_asm.h"
#include "textflag.h"

DATA ones<>+0x00(SB)/8, $0x0101010101010101
GLOBL ones<>(SB), RODATA|NOPTR, $8

DATA highs<>+0x00(SB)/8, $0x8080808080808080
GLOBL highs<>(SB), RODATA|NOPTR, $8

DATA enough<>+0x00(SB)/8, $const_minDigits
GLOBL enough<>(SB), RODATA|NOPTR, $8

// THIS and LAST are the words of a class for the group's blocks, and for the blocks before each.
#define THIS(class) (sieve_group+72*class+8)(DI)
#define LAST(class) (sieve_group+72*class)(DI)

// AFTER has what of a class stands k bytes before.
#define AFTER(class, k, dst) \
	VMOVDQU64 THIS(class), dst             \
	VPSHLDQ   $k, LAST(class), dst, dst

// BEFORE makes of a plane that of the blocks before, and keeps its last word for the next group.
#define BEFORE(word, plane, dst) \
	VPBROADCASTQ (sieve_last+word)(DI), dst      \
	VALIGNQ      $7, dst, plane, dst             \
	VMOVDQU64    plane, K7, (sieve_last+word-56)(DI)

// OCTETS is function octets.
#define OCTETS(plane, dst) \
	VPXORQ Z31, plane, dst \
	VPSUBQ Z30, dst, dst   \
	VPANDQ plane, dst, dst \
	VPANDQ Z29, dst, dst

// WHERE notes the blocks in which a plane has something.
#define WHERE(kind, plane) \
	VPTESTMQ plane, plane, K1 \
	KMOVB    K1, AX           \
	MOVB     AX, (sieve_where+kind)(DI)

// FOUND keeps a plane of places.
#define FOUND(kind, plane) \
	VMOVDQU64 plane, (sieve_found+64*kind)(DI) \
	WHERE(kind, plane)

// func siftAVX512(s *sieve)
//
// It is siftGo for all blocks at once.
TEXT ·siftAVX512(SB), NOSPLIT, $0-8
	MOVQ s+0(FP), DI

	VPTERNLOGQ   $0xff, Z31, Z31, Z31
	VPBROADCASTQ ones<>(SB), Z30
	VPBROADCASTQ highs<>(SB), Z29
	MOVL         $0x80, AX
	KMOVB        AX, K7

	// Base64 begins, Z0, may be of a known format, Z1, and looks like text, Z2.
	AFTER(const_alnum, 1, Z0)
	VPANDNQ   THIS(const_inRun), Z0, Z0
	VPANDQ    THIS(const_magics), Z0, Z1
	AFTER(const_follows, 1, Z2)
	AFTER(const_opens, 2, Z3)
	VPANDQ    Z3, Z2, Z2
	VPANDQ    THIS(const_thirds), Z2, Z2
	BEFORE(remains_groups, Z2, Z3)
	VPSHLDQ   $4, Z3, Z2, Z4
	VPSHLDQ   $8, Z3, Z2, Z3
	VPTERNLOGQ $0x80, Z4, Z3, Z2
	BEFORE(remains_begins, Z0, Z3)
	VPSHLDQ   $10, Z3, Z0, Z0
	VPANDQ    Z0, Z2, Z2
	FOUND(const_inGroups, Z2)
	BEFORE(remains_magic, Z1, Z3)
	VPSHLDQ   $1, Z3, Z1, Z1
	VPANDQ    THIS(const_magics2), Z1, Z1
	FOUND(const_inMagics, Z1)

	// Long runs.
	VMOVDQU64 THIS(const_inRun), Z0
	OCTETS(Z0, Z1)
	BEFORE(remains_whole, Z1, Z2)
	VPSHLDQ   $8, Z2, Z1, Z2
	VPANDQ    Z2, Z1, Z1
	BEFORE(remains_pairs, Z1, Z2)
	VPSHLDQ   $16, Z2, Z1, Z2
	VPANDQ    Z2, Z1, Z1
	VMOVDQU64 THIS(const_inBase16or32), Z0
	OCTETS(Z0, Z2)
	BEFORE(remains_whole16, Z2, Z3)
	VPSHLDQ   $8, Z3, Z2, Z3
	VPANDQ    Z3, Z2, Z2
	VPORQ     Z2, Z1, Z1
	FOUND(const_inLong, Z1)

	// Rows of bytes of lists, and digits, as many as lists have.
	AFTER(const_inList, 1, Z0)
	VPANDQ    THIS(const_inList), Z0, Z0
	BEFORE(remains_rows2, Z0, Z1)
	VPSHLDQ   $2, Z1, Z0, Z1
	VPANDQ    Z1, Z0, Z0
	BEFORE(remains_rows4, Z0, Z1)
	VPSHLDQ   $4, Z1, Z0, Z1
	VPANDQ    Z1, Z0, Z0
	BEFORE(remains_rows8, Z0, Z1)
	VPSHLDQ   $8, Z1, Z0, Z1
	VPANDQ    Z1, Z0, Z0
	BEFORE(remains_rows16, Z0, Z1)
	VPSHLDQ   $(const_minRow-16), Z1, Z0, Z1
	VPANDQ    Z1, Z0, Z0
	FOUND(const_inRows, Z0)
	VPOPCNTQ     THIS(const_digit), Z0
	VPOPCNTQ     LAST(const_digit), Z1
	VPADDQ       Z1, Z0, Z0
	VPBROADCASTQ enough<>(SB), Z1
	VPCMPUQ      $5, Z1, Z0, K1
	KMOVB        K1, AX
	MOVB         AX, (sieve_where+const_inDigits)(DI)

	// What stands after a token, Z0.
	AFTER(const_inToken, 1, Z0)
	VPANDQ  THIS(const_less), Z0, Z1
	VPORQ   THIS(const_trigger), Z1, Z1
	FOUND(const_inTriggers, Z1)
	VPANDQ  THIS(const_equal), Z0, Z1
	BEFORE(remains_signs, Z1, Z2)
	VPSHLDQ $1, Z2, Z1, Z1
	VMOVDQU64 THIS(const_lineBreaks), Z2
	VPORQ   THIS(const_digit), Z2, Z3
	VPANDQ  Z3, Z1, Z1
	FOUND(const_inSigns, Z1)

	// What follows a quote after a token, Z1, unless it is a comma, Z3, and then another argument.
	VPANDQ  THIS(const_quote), Z0, Z1
	BEFORE(remains_quotes, Z1, Z3)
	VPSHLDQ $1, Z3, Z1, Z1
	VMOVDQU64 THIS(const_dead), Z3
	VPANDNQ Z1, Z3, Z1
	AFTER(const_quote, 1, Z3)
	AFTER(const_bends, 1, Z4)
	VPANDQ  Z4, Z3, Z3
	VPANDQ  THIS(const_quote), Z3, Z3
	VPANDNQ Z1, Z3, Z1
	VPANDQ  THIS(const_comma), Z1, Z3
	BEFORE(remains_seams, Z1, Z4)
	VPSHLDQ $4, Z4, Z1, Z1
	AFTER(const_alnum, 4, Z4)
	AFTER(const_space, 3, Z5)
	AFTER(const_alnum, 2, Z6)
	VPTERNLOGQ $0x80, Z5, Z6, Z4
	VPANDNQ Z1, Z4, Z1
	BEFORE(remains_commas, Z3, Z4)
	VPSHLDQ $4, Z4, Z3, Z3
	AFTER(const_quote, 1, Z4)
	AFTER(const_quote, 2, Z5)
	VPORQ   Z4, Z5, Z5
	VPORQ   THIS(const_quote), Z4, Z4
	AFTER(const_alnum, 3, Z6)
	VPANDNQ Z6, Z5, Z5
	AFTER(const_alnum, 2, Z6)
	VPANDNQ Z6, Z4, Z4
	AFTER(const_space, 3, Z6)
	VPANDQ  Z6, Z4, Z4
	VPORQ   Z5, Z4, Z4
	VPANDQ  Z4, Z3, Z3
	VPANDNQ Z1, Z3, Z1
	FOUND(const_inSeams, Z1)

	// The sum of the tokens, Z0, and their digits. A block carries into the next where the sum came out less, and where it is all
	// ones and something is carried into it.
	VMOVDQU64 THIS(const_inToken), Z0
	VPANDQ    THIS(const_digit), Z0, Z1
	VPADDQ    Z0, Z1, Z1
	VPCMPUQ   $1, Z0, Z1, K1
	VPCMPEQQ  Z31, Z1, K2
	KMOVB     K1, AX
	KMOVB     K2, BX
	MOVQ      (sieve_last+remains_carry)(DI), CX
	LEAQ      (CX)(AX*2), AX
	ADDQ      BX, AX
	XORQ      BX, AX
	KMOVB     AX, K1
	SHRQ      $8, AX
	MOVQ      AX, (sieve_last+remains_carry)(DI)
	VPSUBQ    Z31, Z1, K1, Z1
	VPANDNQ   Z1, Z0, Z0                 // ends of tokens with digits
	AFTER(const_inToken, 2, Z1)
	VPANDQ    Z1, Z0, Z0
	AFTER(const_inToken, 3, Z1)
	VPANDQ    Z1, Z0, Z0
	AFTER(const_inToken, const_minPart, Z1)
	VPANDQ    Z1, Z0, Z0
	VMOVDQU64 THIS(const_closes), Z3
	VPANDQ    Z3, Z0, Z1
	BEFORE(remains_closed1, Z1, Z4)
	VPSHLDQ   $1, Z4, Z1, Z1
	VPORQ     Z1, Z0, Z0
	VPANDQ    Z3, Z1, Z1
	BEFORE(remains_closed2, Z1, Z4)
	VPSHLDQ   $1, Z4, Z1, Z1
	VPORQ     Z1, Z0, Z0
	VPANDQ    Z3, Z1, Z1
	BEFORE(remains_closed3, Z1, Z4)
	VPSHLDQ   $1, Z4, Z1, Z1
	VPORQ     Z1, Z0, Z0
	VPANDQ    Z2, Z0, Z0
	FOUND(const_inWraps, Z0)

	// The ends and beginnings of lines.
	AFTER(const_bends, 1, Z0)
	VPANDQ  Z2, Z0, Z0
	FOUND(const_inBends, Z0)
	AFTER(const_lineFeed, 1, Z0)
	VMOVDQU64 THIS(const_inBase16or32), Z1
	VPANDQ  Z1, Z0, Z0
	BEFORE(remains_heads, Z0, Z2)
	VPSHLDQ $(const_minOffset-1), Z2, Z0, Z0
	VPANDQ  Z1, Z0, Z0
	FOUND(const_inHeads, Z0)

	VMOVDQU64 THIS(23), Z0
	WHERE(const_inHigh, Z0)
	VMOVDQU64 THIS(const_odds), Z0
	WHERE(const_inOdds, Z0)

	VZEROUPPER
	RET
