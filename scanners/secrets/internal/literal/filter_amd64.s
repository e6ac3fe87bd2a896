#include "textflag.h"

// func scanVBMI(t *vbmi, text *byte, masks []uint64)
//
// For each place k of a window, the text from there is turned into classes, and these into the buckets of each group.
TEXT ·scanVBMI(SB), NOSPLIT, $0-40
	MOVQ t+0(FP), AX
	MOVQ text+8(FP), SI
	MOVQ masks_base+16(FP), DI
	MOVQ masks_len+24(FP), CX

	VMOVDQU64 (AX), Z0       // classes of the bytes below 64
	VMOVDQU64 64(AX), Z1     // and of those above
	VMOVDQU64 128(AX), Z2    // group 0, places 0 to 3
	VMOVDQU64 192(AX), Z3
	VMOVDQU64 256(AX), Z4
	VMOVDQU64 320(AX), Z5
	VMOVDQU64 384(AX), Z6    // group 1
	VMOVDQU64 448(AX), Z7
	VMOVDQU64 512(AX), Z8
	VMOVDQU64 576(AX), Z9
	VMOVDQU64 640(AX), Z10   // group 2
	VMOVDQU64 704(AX), Z11
	VMOVDQU64 768(AX), Z12
	VMOVDQU64 832(AX), Z13
	VMOVDQU64 896(AX), Z14   // group 3
	VMOVDQU64 960(AX), Z15
	VMOVDQU64 1024(AX), Z16
	VMOVDQU64 1088(AX), Z17

loop:
	VMOVDQU64 (SI), Z18
	VMOVDQU64 1(SI), Z19
	VMOVDQU64 2(SI), Z20
	VMOVDQU64 3(SI), Z21
	VPERMI2B  Z1, Z0, Z18
	VPERMI2B  Z1, Z0, Z19
	VPERMI2B  Z1, Z0, Z20
	VPERMI2B  Z1, Z0, Z21

	VPERMB     Z2, Z18, Z22
	VPERMB     Z3, Z19, Z23
	VPERMB     Z4, Z20, Z24
	VPERMB     Z5, Z21, Z25
	VPTERNLOGQ $0x80, Z24, Z23, Z22 // of all three
	VPANDQ     Z25, Z22, Z26

	VPERMB     Z6, Z18, Z22
	VPERMB     Z7, Z19, Z23
	VPERMB     Z8, Z20, Z24
	VPERMB     Z9, Z21, Z25
	VPTERNLOGQ $0x80, Z24, Z23, Z22
	VPTERNLOGQ $0xf8, Z25, Z22, Z26 // or what is of both

	VPERMB     Z10, Z18, Z22
	VPERMB     Z11, Z19, Z23
	VPERMB     Z12, Z20, Z24
	VPERMB     Z13, Z21, Z25
	VPTERNLOGQ $0x80, Z24, Z23, Z22
	VPTERNLOGQ $0xf8, Z25, Z22, Z26

	VPERMB     Z14, Z18, Z22
	VPERMB     Z15, Z19, Z23
	VPERMB     Z16, Z20, Z24
	VPERMB     Z17, Z21, Z25
	VPTERNLOGQ $0x80, Z24, Z23, Z22
	VPTERNLOGQ $0xf8, Z25, Z22, Z26

	VPTESTMB Z26, Z26, K1
	KMOVQ    K1, (DI)

	ADDQ $64, SI
	ADDQ $8, DI
	DECQ CX
	JNZ  loop

	VZEROUPPER
	RET

// PLACE narrows the buckets in Y10 to those that have the byte's halves, low and high, in the tables at offset of AX.
#define PLACE(offset, low, high) \
	VBROADCASTI128 (offset)(AX), Y11    \
	VBROADCASTI128 (offset+16)(AX), Y12 \
	VPSHUFB        low, Y11, Y11        \
	VPSHUFB        high, Y12, Y12       \
	VPAND          Y11, Y10, Y10        \
	VPAND          Y12, Y10, Y10

// GROUP adds to Y9 what is left of a group of eight buckets.
#define GROUP(offset) \
	VBROADCASTI128 (offset)(AX), Y10    \
	VBROADCASTI128 (offset+16)(AX), Y12 \
	VPSHUFB        Y0, Y10, Y10         \
	VPSHUFB        Y1, Y12, Y12         \
	VPAND          Y12, Y10, Y10        \
	PLACE(offset+32, Y2, Y3)            \
	PLACE(offset+64, Y4, Y5)            \
	PLACE(offset+96, Y6, Y7)            \
	VPOR           Y10, Y9, Y9

// HALVES puts the low and high halves of 32 bytes into registers.
#define HALVES(offset, low, high) \
	VMOVDQU offset(SI), low  \
	VPSRLW  $4, low, high    \
	VPAND   Y8, low, low     \
	VPAND   Y8, high, high

// HALF leaves in the low half of a register which of the 32 offsets from that one pass none.
#define HALF(offset, none) \
	HALVES(offset, Y0, Y1)      \
	HALVES(offset+1, Y2, Y3)    \
	HALVES(offset+2, Y4, Y5)    \
	HALVES(offset+3, Y6, Y7)    \
	VPXOR     Y9, Y9, Y9        \
	GROUP(0)                    \
	GROUP(128)                  \
	GROUP(256)                  \
	GROUP(384)                  \
	VPCMPEQB  Y13, Y9, Y9       \
	VPMOVMSKB Y9, none

// func scanAVX2(t *avx2, text *byte, masks []uint64)
TEXT ·scanAVX2(SB), NOSPLIT, $0-40
	MOVQ t+0(FP), AX
	MOVQ text+8(FP), SI
	MOVQ masks_base+16(FP), DI
	MOVQ masks_len+24(FP), CX

	MOVQ         $0x0f, R8
	MOVQ         R8, X8
	VPBROADCASTB X8, Y8
	VPXOR        Y13, Y13, Y13

half:
	HALF(0, R8)
	HALF(32, R9)
	SHLQ $32, R9
	ORQ  R9, R8
	NOTQ R8
	MOVQ R8, (DI)

	ADDQ $64, SI
	ADDQ $8, DI
	DECQ CX
	JNZ  half

	VZEROUPPER
	RET
