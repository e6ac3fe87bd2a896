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
	AFTER(const_alnum, 3, Z5)
	AFTER(const_space, 3, Z6)
	VPORQ   Z6, Z5, Z5
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

// What follows is the same for AVX2, which takes half of the blocks at a time: those from SI on are at the places that they have from DI
// on in the sieve. Y15 is all ones, Y12 zero, Y11 for the macros.
#undef THIS
#undef LAST
#undef AFTER
#undef BEFORE
#undef OCTETS
#undef WHERE
#undef FOUND
#define THIS(class) (sieve_group+72*class+8)(SI)
#define LAST(class) (sieve_group+72*class)(SI)

// JOINED is plane shifted left by k, with what comes from the blocks before.
#define JOINED(k, before, plane, dst) \
	VPSRLQ $(64-k), before, Y11 \
	VPSLLQ $k, plane, dst       \
	VPOR   Y11, dst, dst

#define AFTER(class, k, dst) \
	VMOVDQU LAST(class), Y11    \
	VPSRLQ  $(64-k), Y11, Y11   \
	VMOVDQU THIS(class), dst    \
	VPSLLQ  $k, dst, dst        \
	VPOR    Y11, dst, dst

// BEFORE needs the lower half of dst, too.
#define BEFORE(word, plane, dst, low) \
	VPERMQ       $0x93, plane, dst           \
	VPBROADCASTQ (sieve_last+word)(DI), Y11  \
	VMOVQ        low, (sieve_last+word)(DI)  \
	VPBLENDD     $0x03, Y11, dst, dst

#define OCTETS(plane, dst) \
	VPXOR  Y15, plane, dst \
	VPSUBQ Y14, dst, dst   \
	VPAND  plane, dst, dst \
	VPAND  Y13, dst, dst

#define WHERE(kind, plane) \
	VPCMPEQQ  Y12, plane, Y11 \
	VMOVMSKPD Y11, AX         \
	XORL      $15, AX         \
	SHLL      CX, AX          \
	ORB       AX, (sieve_where+kind)(DI)

#define FOUND(kind, plane) \
	VMOVDQU plane, (sieve_found+64*kind)(SI) \
	WHERE(kind, plane)

// DIGITS notes whether block b has digits enough, with the one before whose number is in BX.
#define DIGITS(b) \
	POPCNTQ (sieve_group+72*const_digit+8+8*b)(SI), DX \
	ADDQ    DX, BX                                     \
	CMPQ    BX, $const_minDigits                       \
	SETCC   BX                                         \
	SHLL    $b, BX                                     \
	ORL     BX, AX                                     \
	MOVQ    DX, BX

// func siftAVX2(s *sieve)
TEXT ·siftAVX2(SB), NOSPLIT, $32-8
	MOVQ s+0(FP), DI
	MOVQ DI, SI
	XORL CX, CX

	VPCMPEQD     Y15, Y15, Y15
	VPBROADCASTQ ones<>(SB), Y14
	VPBROADCASTQ highs<>(SB), Y13
	VPXOR        Y12, Y12, Y12
	MOVQ         CX, sieve_where(DI)
	MOVL         CX, (sieve_where+8)(DI)
	MOVB         CX, (sieve_where+12)(DI)

half:
	// Base64.
	AFTER(const_alnum, 1, Y0)
	VPANDN THIS(const_inRun), Y0, Y0
	VPAND  THIS(const_magics), Y0, Y1
	AFTER(const_follows, 1, Y2)
	AFTER(const_opens, 2, Y3)
	VPAND  Y3, Y2, Y2
	VPAND  THIS(const_thirds), Y2, Y2
	BEFORE(remains_groups, Y2, Y3, X3)
	JOINED(4, Y3, Y2, Y4)
	JOINED(8, Y3, Y2, Y3)
	VPAND  Y4, Y2, Y2
	VPAND  Y3, Y2, Y2
	BEFORE(remains_begins, Y0, Y3, X3)
	JOINED(10, Y3, Y0, Y0)
	VPAND  Y0, Y2, Y2
	FOUND(const_inGroups, Y2)
	BEFORE(remains_magic, Y1, Y3, X3)
	JOINED(1, Y3, Y1, Y1)
	VPAND  THIS(const_magics2), Y1, Y1
	FOUND(const_inMagics, Y1)

	// Long runs.
	VMOVDQU THIS(const_inRun), Y0
	OCTETS(Y0, Y1)
	BEFORE(remains_whole, Y1, Y2, X2)
	JOINED(8, Y2, Y1, Y2)
	VPAND   Y2, Y1, Y1
	BEFORE(remains_pairs, Y1, Y2, X2)
	JOINED(16, Y2, Y1, Y2)
	VPAND   Y2, Y1, Y1
	VMOVDQU THIS(const_inBase16or32), Y0
	OCTETS(Y0, Y2)
	BEFORE(remains_whole16, Y2, Y3, X3)
	JOINED(8, Y3, Y2, Y3)
	VPAND   Y3, Y2, Y2
	VPOR    Y2, Y1, Y1
	FOUND(const_inLong, Y1)

	// Lists.
	AFTER(const_inList, 1, Y0)
	VPAND THIS(const_inList), Y0, Y0
	BEFORE(remains_rows2, Y0, Y1, X1)
	JOINED(2, Y1, Y0, Y1)
	VPAND Y1, Y0, Y0
	BEFORE(remains_rows4, Y0, Y1, X1)
	JOINED(4, Y1, Y0, Y1)
	VPAND Y1, Y0, Y0
	BEFORE(remains_rows8, Y0, Y1, X1)
	JOINED(8, Y1, Y0, Y1)
	VPAND Y1, Y0, Y0
	BEFORE(remains_rows16, Y0, Y1, X1)
	JOINED((const_minRow-16), Y1, Y0, Y1)
	VPAND Y1, Y0, Y0
	FOUND(const_inRows, Y0)
	XORL    AX, AX
	POPCNTQ LAST(const_digit), BX
	DIGITS(0)
	DIGITS(1)
	DIGITS(2)
	DIGITS(3)
	SHLL    CX, AX
	ORB     AX, (sieve_where+const_inDigits)(DI)

	// What stands after a token, Y0.
	AFTER(const_inToken, 1, Y0)
	VPAND   THIS(const_less), Y0, Y1
	VPOR    THIS(const_trigger), Y1, Y1
	FOUND(const_inTriggers, Y1)
	VPAND   THIS(const_equal), Y0, Y1
	BEFORE(remains_signs, Y1, Y2, X2)
	JOINED(1, Y2, Y1, Y1)
	VMOVDQU THIS(const_lineBreaks), Y2
	VPOR    THIS(const_digit), Y2, Y3
	VPAND   Y3, Y1, Y1
	FOUND(const_inSigns, Y1)

	// What follows a quote after a token, Y1, and commas, Y3.
	VPAND   THIS(const_quote), Y0, Y1
	BEFORE(remains_quotes, Y1, Y3, X3)
	JOINED(1, Y3, Y1, Y1)
	VMOVDQU THIS(const_dead), Y3
	VPANDN  Y1, Y3, Y1
	AFTER(const_quote, 1, Y3)
	AFTER(const_bends, 1, Y4)
	VPAND   Y4, Y3, Y3
	VPAND   THIS(const_quote), Y3, Y3
	VPANDN  Y1, Y3, Y1
	VPAND   THIS(const_comma), Y1, Y3
	BEFORE(remains_seams, Y1, Y4, X4)
	JOINED(4, Y4, Y1, Y1)
	AFTER(const_alnum, 4, Y4)
	AFTER(const_alnum, 3, Y7)
	AFTER(const_space, 3, Y8)
	VPOR    Y7, Y8, Y5
	AFTER(const_alnum, 2, Y6)
	VPAND   Y5, Y4, Y4
	VPAND   Y6, Y4, Y4
	VPANDN  Y1, Y4, Y1
	BEFORE(remains_commas, Y3, Y4, X4)
	JOINED(4, Y4, Y3, Y3)
	AFTER(const_quote, 1, Y4)
	AFTER(const_quote, 2, Y5)
	VPOR    Y4, Y5, Y5
	VPOR    THIS(const_quote), Y4, Y4
	VPANDN  Y7, Y5, Y5
	VPANDN  Y6, Y4, Y4
	VPAND   Y8, Y4, Y4
	VPOR    Y5, Y4, Y4
	VPAND   Y4, Y3, Y3
	VPANDN  Y1, Y3, Y1
	FOUND(const_inSeams, Y1)

	// The sum of the tokens, Y0, and their digits.
	VMOVDQU THIS(const_inToken), Y0
	VPAND   THIS(const_digit), Y0, Y1
	VMOVDQU Y1, sum-32(SP)
	MOVQ    (sieve_group+72*const_inToken+8)(SI), R8
	MOVQ    (sieve_group+72*const_inToken+16)(SI), R9
	MOVQ    (sieve_group+72*const_inToken+24)(SI), R10
	MOVQ    (sieve_group+72*const_inToken+32)(SI), R11
	XORL    BX, BX
	MOVQ    (sieve_last+remains_carry)(DI), AX
	NEGQ    AX                           // carries if it is 1
	ADCQ    R8, sum-32(SP)
	ADCQ    R9, sum-24(SP)
	ADCQ    R10, sum-16(SP)
	ADCQ    R11, sum-8(SP)
	ADCQ    BX, BX
	MOVQ    BX, (sieve_last+remains_carry)(DI)
	VPANDN  sum-32(SP), Y0, Y0           // ends of tokens with digits
	AFTER(const_inToken, 2, Y1)
	VPAND   Y1, Y0, Y0
	AFTER(const_inToken, 3, Y1)
	VPAND   Y1, Y0, Y0
	AFTER(const_inToken, const_minPart, Y1)
	VPAND   Y1, Y0, Y0
	VMOVDQU THIS(const_closes), Y3
	VPAND   Y3, Y0, Y1
	BEFORE(remains_closed1, Y1, Y4, X4)
	JOINED(1, Y4, Y1, Y1)
	VPOR    Y1, Y0, Y0
	VPAND   Y3, Y1, Y1
	BEFORE(remains_closed2, Y1, Y4, X4)
	JOINED(1, Y4, Y1, Y1)
	VPOR    Y1, Y0, Y0
	VPAND   Y3, Y1, Y1
	BEFORE(remains_closed3, Y1, Y4, X4)
	JOINED(1, Y4, Y1, Y1)
	VPOR    Y1, Y0, Y0
	VPAND   Y2, Y0, Y0
	FOUND(const_inWraps, Y0)

	// The ends and beginnings of lines.
	AFTER(const_bends, 1, Y0)
	VPAND   Y2, Y0, Y0
	FOUND(const_inBends, Y0)
	AFTER(const_lineFeed, 1, Y0)
	VMOVDQU THIS(const_inBase16or32), Y1
	VPAND   Y1, Y0, Y0
	BEFORE(remains_heads, Y0, Y2, X2)
	JOINED((const_minOffset-1), Y2, Y0, Y0)
	VPAND   Y1, Y0, Y0
	FOUND(const_inHeads, Y0)

	VMOVDQU THIS(23), Y0
	WHERE(const_inHigh, Y0)
	VMOVDQU THIS(const_odds), Y0
	WHERE(const_inOdds, Y0)

	ADDQ $32, SI
	ADDL $4, CX
	CMPL CX, $8
	JB   half
	VZEROUPPER
	RET
