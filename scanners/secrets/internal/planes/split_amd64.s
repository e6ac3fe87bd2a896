#include "textflag.h"

// reverse turns the bytes of each eight around.
DATA reverse<>+0x00(SB)/8, $0x0001020304050607
DATA reverse<>+0x08(SB)/8, $0x08090a0b0c0d0e0f
GLOBL reverse<>(SB), RODATA|NOPTR, $16

// columns is the byte (8g+k) for each byte (8k+g): with it, eight squares of eight bytes become eight rows.
DATA columns<>+0x00(SB)/8, $0x3830282018100800
DATA columns<>+0x08(SB)/8, $0x3931292119110901
DATA columns<>+0x10(SB)/8, $0x3a322a221a120a02
DATA columns<>+0x18(SB)/8, $0x3b332b231b130b03
DATA columns<>+0x20(SB)/8, $0x3c342c241c140c04
DATA columns<>+0x28(SB)/8, $0x3d352d251d150d05
DATA columns<>+0x30(SB)/8, $0x3e362e261e160e06
DATA columns<>+0x38(SB)/8, $0x3f372f271f170f07
GLOBL columns<>(SB), RODATA|NOPTR, $64

// units has bit i in byte i.
DATA units<>+0x00(SB)/8, $0x8040201008040201
GLOBL units<>(SB), RODATA|NOPTR, $8

// REVERSED reads 64 bytes of the text, each eight bytes turned around, and sets K2 to those below 0x80.
#define REVERSED(bytes) \
	VMOVDQU64 bytes, Z0     \
	VPSHUFB   Z22, Z0, Z0   \
	VPMOVB2M  Z0, K2        \
	KNOTQ     K2, K2

// CLASSES makes words of eight planes of a block, one after the other, of the bytes in Z0. Each byte's classes come from a table of 128.
// Eight bytes are a square of 8×8 bits, which multiplied with the unit matrix gives the transposed one, rows in reverse: so the bytes
// are reversed before.
#define CLASSES(z) \
	VPERMI2B.Z     Z17, Z16, K2, Z0 \
	VGF2P8AFFINEQB $0, Z0, Z24, Z0  \
	VPERMB         Z0, Z23, z

// PLANES makes rows of eight planes, of eight blocks.
#define PLANES \
	REVERSED(0(SI))                  \
	CLASSES(Z1)                   \
	REVERSED(64(SI))                  \
	CLASSES(Z2)                   \
	REVERSED(128(SI))                  \
	CLASSES(Z3)                   \
	REVERSED(192(SI))                  \
	CLASSES(Z4)                   \
	REVERSED(256(SI))                  \
	CLASSES(Z5)                   \
	REVERSED(320(SI))                  \
	CLASSES(Z6)                   \
	REVERSED(384(SI))                  \
	CLASSES(Z7)                   \
	REVERSED(448(SI))                  \
	CLASSES(Z8)                   \
	VPUNPCKLQDQ Z2, Z1, Z9        \
	VPUNPCKHQDQ Z2, Z1, Z10       \
	VPUNPCKLQDQ Z4, Z3, Z11       \
	VPUNPCKHQDQ Z4, Z3, Z12       \
	VPUNPCKLQDQ Z6, Z5, Z13       \
	VPUNPCKHQDQ Z6, Z5, Z14       \
	VPUNPCKLQDQ Z8, Z7, Z15       \
	VPUNPCKHQDQ Z8, Z7, Z25       \
	VSHUFI64X2  $0x88, Z11, Z9, Z1  \
	VSHUFI64X2  $0xdd, Z11, Z9, Z2  \
	VSHUFI64X2  $0x88, Z15, Z13, Z3 \
	VSHUFI64X2  $0xdd, Z15, Z13, Z4 \
	VSHUFI64X2  $0x88, Z12, Z10, Z5 \
	VSHUFI64X2  $0xdd, Z12, Z10, Z6 \
	VSHUFI64X2  $0x88, Z25, Z14, Z7 \
	VSHUFI64X2  $0xdd, Z25, Z14, Z8 \
	VSHUFI64X2  $0x88, Z3, Z1, Z9   \
	VSHUFI64X2  $0x88, Z7, Z5, Z10  \
	VSHUFI64X2  $0x88, Z4, Z2, Z11  \
	VSHUFI64X2  $0x88, Z8, Z6, Z12  \
	VSHUFI64X2  $0xdd, Z3, Z1, Z13  \
	VSHUFI64X2  $0xdd, Z7, Z5, Z14  \
	VSHUFI64X2  $0xdd, Z4, Z2, Z15  \
	VSHUFI64X2  $0xdd, Z8, Z6, Z25  \
	VMOVDQU64   Z9, 64(DI)         \
	VMOVDQU64   Z10, 192(DI)       \
	VMOVDQU64   Z11, 320(DI)      \
	VMOVDQU64   Z12, 448(DI)      \
	VMOVDQU64   Z13, 576(DI)      \
	VMOVDQU64   Z14, 704(DI)      \
	VMOVDQU64   Z15, 832(DI)      \
	VMOVDQU64   Z25, 960(DI)      \
	ADDQ        $1024, DI

#define HIGH(bytes, word) \
	VMOVDQU64 bytes, Z0 \
	VPMOVB2M  Z0, K1    \
	KMOVQ     K1, word

// func splitAVX512(dst *Group, text *[512]byte, lookup *[3][128]byte)
TEXT ·splitAVX512(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ text+8(FP), SI
	MOVQ lookup+16(FP), DX

	VBROADCASTI32X4 reverse<>(SB), Z22
	VMOVDQU64       columns<>(SB), Z23
	VPBROADCASTQ    units<>(SB), Z24

	VMOVDQU64 0(DX), Z16
	VMOVDQU64 64(DX), Z17
	PLANES
	VMOVDQU64 128(DX), Z16
	VMOVDQU64 192(DX), Z17
	PLANES
	VMOVDQU64 256(DX), Z16
	VMOVDQU64 320(DX), Z17
	PLANES

	HIGH(0(SI), -64(DI))
	HIGH(64(SI), -56(DI))
	HIGH(128(SI), -48(DI))
	HIGH(192(SI), -40(DI))
	HIGH(256(SI), -32(DI))
	HIGH(320(SI), -24(DI))
	HIGH(384(SI), -16(DI))
	HIGH(448(SI), -8(DI))

	VZEROUPPER
	RET

// low masks the low nibble of each byte.
DATA low<>+0x00(SB)/8, $0x0f0f0f0f0f0f0f0f
GLOBL low<>(SB), RODATA|NOPTR, $8

// highs has bit h in byte h for each high nibble below 8, and nothing for those of bytes above 0x7f.
DATA highs<>+0x00(SB)/8, $0x8040201008040201
DATA highs<>+0x08(SB)/8, $0
GLOBL highs<>(SB), RODATA|NOPTR, $16

// func splitAVX2(dst *Group, text *[512]byte, nibbles *[24][16]byte, classes int)
//
// A byte is of a class if the class's set of high nibbles, found by the low nibble, holds its high nibble.
TEXT ·splitAVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ text+8(FP), SI
	MOVQ nibbles+16(FP), DX
	MOVQ classes+24(FP), R8
	SHLQ $4, R8
	ADDQ DX, R8              // the end of the tables in use
	MOVQ $8, CX
	ADDQ $64, DI             // the words before are those of the blocks before

	VPBROADCASTQ   low<>(SB), Y15
	VBROADCASTI128 highs<>(SB), Y14
	VPXOR          Y13, Y13, Y13

block:
	VMOVDQU   (SI), Y0
	VMOVDQU   32(SI), Y1
	VPMOVMSKB Y0, AX
	VPMOVMSKB Y1, BX
	SHLQ      $32, BX
	ORQ       BX, AX
	MOVQ      AX, 2944(DI)

	VPSRLW  $4, Y0, Y2
	VPSRLW  $4, Y1, Y3
	VPAND   Y15, Y0, Y0
	VPAND   Y15, Y1, Y1
	VPAND   Y15, Y2, Y2
	VPAND   Y15, Y3, Y3
	VPSHUFB Y2, Y14, Y2
	VPSHUFB Y3, Y14, Y3

	MOVQ DX, R9
	MOVQ DI, R10

class:
	VBROADCASTI128 (R9), Y4
	VPSHUFB        Y0, Y4, Y5
	VPSHUFB        Y1, Y4, Y6
	VPAND          Y2, Y5, Y5
	VPAND          Y3, Y6, Y6
	VPCMPEQB       Y13, Y5, Y5
	VPCMPEQB       Y13, Y6, Y6
	VPMOVMSKB      Y5, AX
	VPMOVMSKB      Y6, BX
	SHLQ           $32, BX
	ORQ            BX, AX
	NOTQ           AX
	MOVQ           AX, (R10)
	ADDQ           $16, R9
	ADDQ           $128, R10
	CMPQ           R9, R8
	JB             class

	ADDQ $64, SI
	ADDQ $8, DI
	DECQ CX
	JNZ  block

	VZEROUPPER
	RET
