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

// func splitAVX512(dst *Block, text *byte, n int, lookup *[3][128]byte)
//
// Each byte's classes come from a table of 128. Eight bytes are a square of 8×8 bits, which multiplied with the unit matrix gives
// the transposed one, rows in reverse: so the bytes are reversed before.
TEXT ·splitAVX512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ text+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ lookup+24(FP), DX

	VMOVDQU64        0(DX), Z16
	VMOVDQU64        64(DX), Z17
	VMOVDQU64        128(DX), Z18
	VMOVDQU64        192(DX), Z19
	VMOVDQU64        256(DX), Z20
	VMOVDQU64        320(DX), Z21
	VBROADCASTI32X4  reverse<>(SB), Z22
	VMOVDQU64        columns<>(SB), Z23
	VPBROADCASTQ     units<>(SB), Z24

block:
	VMOVDQU64 (SI), Z0
	VPMOVB2M  Z0, K1
	VPSHUFB   Z22, Z0, Z0
	VPMOVB2M  Z0, K2
	KNOTQ     K2, K2

	VMOVDQA64  Z0, Z1
	VMOVDQA64  Z0, Z2
	VPERMI2B.Z Z17, Z16, K2, Z0
	VPERMI2B.Z Z19, Z18, K2, Z1
	VPERMI2B.Z Z21, Z20, K2, Z2

	VGF2P8AFFINEQB $0, Z0, Z24, Z0
	VGF2P8AFFINEQB $0, Z1, Z24, Z1
	VGF2P8AFFINEQB $0, Z2, Z24, Z2

	VPERMB Z0, Z23, Z0
	VPERMB Z1, Z23, Z1
	VPERMB Z2, Z23, Z2

	VMOVDQU64 Z0, 0(DI)
	VMOVDQU64 Z1, 64(DI)
	VMOVDQU64 Z2, 128(DI)
	KMOVQ     K1, 184(DI)

	ADDQ $64, SI
	ADDQ $192, DI
	DECQ CX
	JNZ  block

	VZEROUPPER
	RET

// low masks the low nibble of each byte.
DATA low<>+0x00(SB)/8, $0x0f0f0f0f0f0f0f0f
GLOBL low<>(SB), RODATA|NOPTR, $8

// highs has bit h in byte h for each high nibble below 8, and nothing for those of bytes above 0x7f.
DATA highs<>+0x00(SB)/8, $0x8040201008040201
DATA highs<>+0x08(SB)/8, $0
GLOBL highs<>(SB), RODATA|NOPTR, $16

// func splitAVX2(dst *Block, text *byte, n int, nibbles *[24][16]byte, classes int)
//
// A byte is of a class if the class's set of high nibbles, found by the low nibble, holds its high nibble.
TEXT ·splitAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ text+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ nibbles+24(FP), DX
	MOVQ classes+32(FP), R8
	SHLQ $4, R8
	ADDQ DX, R8              // the end of the tables in use

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
	MOVQ      AX, 184(DI)

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
	ADDQ           $8, R10
	CMPQ           R9, R8
	JB             class

	ADDQ $64, SI
	ADDQ $192, DI
	DECQ CX
	JNZ  block

	VZEROUPPER
	RET
