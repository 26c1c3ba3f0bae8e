/* hello: prints a line on the first serial port, then HLT with interrupts off.
 *
 * 16550, port 3FDh (line status): bit 5 = the transmitter can take a byte.
 */
#include "support/multiboot.h"

#define COM1_DATA 0x3F8
#define COM1_LINE_STATUS 0x3FD
#define THR_EMPTY 0x20

    .globl _start
_start:
    movl $message, %esi
next:
    lodsb
    testb %al, %al
    jz done
    movb %al, %ah
    movw $COM1_LINE_STATUS, %dx
wait:
    inb %dx, %al
    testb $THR_EMPTY, %al
    jz wait
    movw $COM1_DATA, %dx
    movb %ah, %al
    outb %al, %dx
    jmp next
done:
    cli
    hlt
    jmp done

message:
    .asciz "hello\r\n"
