#include "go_asm.h"
#include "textflag.h"

DATA ones<>+0x00(SB)/8, $0x0101010101010101
GLOBL ones<>(SB), RODATA|NOPTR, $8

DATA tops<>+0x00(SB)/8, $0x8080808080808080
GLOBL tops<>(SB), RODATA|NOPTR, $8

DATA enough<>+0x00(SB)/8, $const_minDigits
GLOBL enough<>(SB), RODATA|NOPTR, $8

// units has bit i in word i.
DATA units<>+0x00(SB)/8, $1
DATA units<>+0x08(SB)/8, $2
DATA units<>+0x10(SB)/8, $4
DATA units<>+0x18(SB)/8, $8
GLOBL units<>(SB), RODATA|NOPTR, $32

// For AVX-512, which takes all blocks at once. Z10 and Z11 are the macros'.
#define V0 Z0
#define V1 Z1
#define V2 Z2
#define V3 Z3
#define V4 Z4
#define V5 Z5
#define V6 Z6
#define V7 Z7
#define V8 Z8
#define V9 Z9

// THIS and LAST are the words of a class for the group's blocks, and for the blocks before each.
#define THIS(class) (sieve_group+128*class+64)(DI)
#define LAST(class) (sieve_group+128*class+56)(DI)

#define LOAD(class, dst) VMOVDQU64 THIS(class), dst
#define AND(a, b, dst) VPANDQ a, b, dst
#define OR(a, b, dst) VPORQ a, b, dst
#define ANDNOT(a, b, dst) VPANDNQ a, b, dst
#define NOT(a, dst) VPXORQ Z31, a, dst

#define AFTER(class, k, dst) \
	VMOVDQU64 THIS(class), dst             \
	VPSHLDQ   $k, LAST(class), dst, dst

// BEHIND makes of a plane that of the blocks before, Z10, and keeps it for the next group.
#define BEHIND(word, k, plane, dst) \
	VALIGNQ   $7, (sieve_last+word)(DI), plane, Z10 \
	VMOVDQU64 plane, (sieve_last+word)(DI)          \
	VPSHLDQ   $k, Z10, plane, dst

#define AGAIN(k, plane, dst) VPSHLDQ $k, Z10, plane, dst

#define OCTETS(plane, dst) \
	VPXORQ Z31, plane, dst \
	VPSUBQ Z30, dst, dst   \
	VPANDQ plane, dst, dst \
	VPANDQ Z29, dst, dst

// THROUGH adds. A block carries into the next where the sum came out less, and where it is all ones and something is carried into it.
#define THROUGH(word, plane, starts, dst) \
	VPADDQ   starts, plane, Z10                            \
	VPCMPUQ  $1, plane, Z10, K1                            \
	VPCMPEQQ Z31, Z10, K2                                  \
	KMOVB    K1, AX                                        \
	KMOVB    K2, BX                                        \
	MOVQ     (sieve_last+remains_carry+word)(DI), CX       \
	LEAQ     (CX)(AX*2), AX                                \
	ADDQ     BX, AX                                        \
	XORQ     BX, AX                                        \
	KMOVB    AX, K1                                        \
	SHRQ     $8, AX                                        \
	MOVQ     AX, (sieve_last+remains_carry+word)(DI)       \
	VPSUBQ   Z31, Z10, K1, Z10                             \
	VPANDNQ  Z10, plane, dst

// WHERE notes the blocks in which a plane has something.
#define WHERE(kind, plane) \
	VPTESTMQ plane, plane, K1 \
	KMOVB    K1, AX           \
	MOVB     AX, (sieve_where+kind)(DI)

// FOUND keeps a plane of places.
#define FOUND(kind, plane) \
	VMOVDQU64 plane, (sieve_found+64*kind)(DI) \
	WHERE(kind, plane)

#define DIGITS \
	VPOPCNTQ     THIS(const_digit), V0 \
	VPOPCNTQ     LAST(const_digit), V1 \
	VPADDQ       V1, V0, V0            \
	VPBROADCASTQ enough<>(SB), V1      \
	VPCMPUQ      $5, V1, V0, K1        \
	KMOVB        K1, AX                \
	MOVB         AX, (sieve_where+const_inDigits)(DI)

// func siftAVX512(s *sieve)
TEXT ·siftAVX512(SB), NOSPLIT, $0-8
	MOVQ s+0(FP), DI

	VPTERNLOGQ   $0xff, Z31, Z31, Z31
	VPBROADCASTQ ones<>(SB), Z30
	VPBROADCASTQ tops<>(SB), Z29

#include "sieve_amd64.h"

	VZEROUPPER
	RET

// For AVX2, which takes half of the blocks at a time: those from SI on are at the places that they have from DI on in the sieve. CX is the
// number of the first; from R9 on are the blocks that their past begins with. Y15 is all ones, Y12 zero, Y10 and Y11 are the macros'.
#undef V0
#undef V1
#undef V2
#undef V3
#undef V4
#undef V5
#undef V6
#undef V7
#undef V8
#undef V9
#undef THIS
#undef LAST
#undef LOAD
#undef AND
#undef OR
#undef ANDNOT
#undef NOT
#undef AFTER
#undef BEHIND
#undef AGAIN
#undef OCTETS
#undef THROUGH
#undef WHERE
#undef FOUND
#undef DIGITS
#define V0 Y0
#define V1 Y1
#define V2 Y2
#define V3 Y3
#define V4 Y4
#define V5 Y5
#define V6 Y6
#define V7 Y7
#define V8 Y8
#define V9 Y9
#define THIS(class) (sieve_group+128*class+64)(SI)
#define LAST(class) (sieve_group+128*class+56)(SI)

#define LOAD(class, dst) VMOVDQU THIS(class), dst
#define AND(a, b, dst) VPAND a, b, dst
#define OR(a, b, dst) VPOR a, b, dst
#define ANDNOT(a, b, dst) VPANDN a, b, dst
#define NOT(a, dst) VPXOR Y15, a, dst

#define AFTER(class, k, dst) \
	VMOVDQU LAST(class), Y11    \
	VPSRLQ  $(64-k), Y11, Y11   \
	VMOVDQU THIS(class), dst    \
	VPSLLQ  $k, dst, dst        \
	VPOR    Y11, dst, dst

#define AGAIN(k, plane, dst) \
	VPSRLQ $(64-k), Y10, Y11 \
	VPSLLQ $k, plane, dst    \
	VPOR   Y11, dst, dst

#define BEHIND(word, k, plane, dst) \
	VPERMQ   $0x93, plane, Y10                     \
	VPBLENDD $0x03, (sieve_last+word)(R9), Y10, Y10 \
	VMOVDQU  plane, (sieve_last+word)(SI)           \
	AGAIN(k, plane, dst)

#define OCTETS(plane, dst) \
	VPXOR  Y15, plane, dst \
	VPSUBQ Y14, dst, dst   \
	VPAND  plane, dst, dst \
	VPAND  Y13, dst, dst

// A sum came out less where its highest bit is lost.
#define THROUGH(word, plane, starts, dst) \
	VPADDQ       starts, plane, Y10                        \
	VPAND        starts, plane, Y11                        \
	VPOR         starts, plane, dst                        \
	VPANDN       dst, Y10, dst                             \
	VPOR         Y11, dst, dst                             \
	VMOVMSKPD    dst, AX                                   \
	VPCMPEQQ     Y15, Y10, Y11                             \
	VMOVMSKPD    Y11, BX                                   \
	MOVQ         (sieve_last+remains_carry+word)(DI), DX   \
	LEAQ         (DX)(AX*2), AX                            \
	ADDQ         BX, AX                                    \
	XORQ         BX, AX                                    \
	VMOVQ        AX, X11                                   \
	SHRQ         $4, AX                                    \
	MOVQ         AX, (sieve_last+remains_carry+word)(DI)   \
	VPBROADCASTQ X11, Y11                                  \
	VPAND        units<>(SB), Y11, Y11                     \
	VPCMPEQQ     units<>(SB), Y11, Y11                     \
	VPSUBQ       Y11, Y10, Y10                             \
	VPANDN       Y10, plane, dst

#define WHERE(kind, plane) \
	VPCMPEQQ  Y12, plane, Y11 \
	VMOVMSKPD Y11, AX         \
	XORL      $15, AX         \
	SHLL      CX, AX          \
	ORB       AX, (sieve_where+kind)(DI)

#define FOUND(kind, plane) \
	VMOVDQU plane, (sieve_found+64*kind)(SI) \
	WHERE(kind, plane)

// DIGIT notes whether block b has digits enough, with the one before whose number is in BX.
#define DIGIT(b) \
	POPCNTQ (sieve_group+128*const_digit+64+8*b)(SI), DX \
	ADDQ    DX, BX                                     \
	CMPQ    BX, $const_minDigits                       \
	SETCC   BX                                         \
	SHLL    $b, BX                                     \
	ORL     BX, AX                                     \
	MOVQ    DX, BX

#define DIGITS \
	XORL    AX, AX                \
	POPCNTQ LAST(const_digit), BX \
	DIGIT(0)                      \
	DIGIT(1)                      \
	DIGIT(2)                      \
	DIGIT(3)                      \
	SHLL    CX, AX                \
	ORB     AX, (sieve_where+const_inDigits)(DI)

// func siftAVX2(s *sieve)
TEXT ·siftAVX2(SB), NOSPLIT, $0-8
	MOVQ s+0(FP), DI
	MOVQ DI, SI
	LEAQ 56(DI), R9
	XORL CX, CX

	VPCMPEQD     Y15, Y15, Y15
	VPBROADCASTQ ones<>(SB), Y14
	VPBROADCASTQ tops<>(SB), Y13
	VPXOR        Y12, Y12, Y12
	MOVQ         CX, sieve_where(DI)
	MOVQ         CX, (sieve_where+8)(DI)
	MOVL         CX, (sieve_where+const_ofAny-4)(DI)

half:
#include "sieve_amd64.h"

	LEAQ 24(DI), R9
	ADDQ $32, SI
	ADDL $4, CX
	CMPL CX, $8
	JB   half
	VZEROUPPER
	RET
