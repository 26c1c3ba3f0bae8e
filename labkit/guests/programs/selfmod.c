/* selfmod: checks that code which changes code is seen to change.
 *
 * This processor family sees a store at the very next instruction, when both use the same linear address
 * (Intel SDM vol. 3A, 8.1.3; since the Pentium without a jump). A translator, and any cache of decoded code, has to notice every such store.
 *
 *   B8 iiiiiiii   MOV $i, %EAX      05 iiiiiiii   ADD $i, %EAX      EB dd   JMP      74, 75 dd   JZ, JNZ
 */
#include "selfmod.h"

extern char patch_next[], patch_later[], patch_loop[], patch_loop_at[], patch_jump[], patch_condition[];
extern char patch_page[], patch_across[], patch_block[], count_in_code[], code_on_stack[], patch_input[];
extern char other_page[], across[], patch_caller[];
extern volatile uint32_t value;

__asm__(".text\n"
        "patch_next: movl value, %ecx; movl %ecx, 1f+1\n"
        "1: movl $0xBAD, %eax; int $0x43\n"

        "patch_later: movl value, %ecx; movl %ecx, 1f+1; nop; leal 1(%ecx), %edx; addl %edx, %edx; nop\n"
        "1: movl $0xBAD, %eax; int $0x43\n"

        /* the operand counts up in each round: 0 + 1 + ... + 99 */
        "patch_loop: xorl %eax, %eax; movl $100, %ecx; movl $0, patch_loop_at+1\n"
        "patch_loop_at: .byte 0x05, 0, 0, 0, 0\n"
        "incl patch_loop_at+1; decl %ecx; jnz patch_loop_at; int $0x43\n"

        "patch_jump: movb value, %cl; movb %cl, 1f+1\n"
        "1: .byte 0xEB, 0\n"
        "movl $10, %eax; int $0x43\n" /* 7 bytes */
        "movl $20, %eax; int $0x43\n"

        "patch_condition: movb value, %cl; movb %cl, 1f; cmpl %eax, %eax\n"
        "1: .byte 0x74, 7\n"
        "movl $10, %eax; int $0x43\n"
        "movl $20, %eax; int $0x43\n"

        "patch_page: xorl %ebx, %ebx; movl $100, %ecx\n"
        "1: movl %ecx, other_page+1; call other_page; addl %eax, %ebx; decl %ecx; jnz 1b\n"
        "movl %ebx, %eax; int $0x43\n"

        /* the code that is called changes the code that comes after the call */
        "patch_caller: call 2f\n"
        "1: movl $0xBAD, %eax; int $0x43\n"
        "2: movl value, %ecx; movl %ecx, 1b+1; ret\n"

        /* only the bytes on the second page change */
        "patch_across: movl value, %ecx; movb %cl, across+2; call across; int $0x43\n"

        /* REP MOVSB writes over what follows it */
        "patch_block: cld; movl $3f, %esi; movl $1f, %edi; movl $7, %ecx; rep movsb\n"
        "1: movl $0xBAD, %eax; int $0x43\n"
        "3: movl $0x600D, %eax; int $0x43\n"

        /* data between the code: each store hits a page of code, none of it changes an instruction */
        "count_in_code: movl $0, 2f; movl $1000, %ecx\n"
        "1: incl 2f; jmp 3f\n"
        "2: .long 0\n"
        "3: decl %ecx; jnz 1b; movl 2b, %eax; int $0x43\n"

        /* MOV $value, %EAX; RET pushed as data and called */
        "code_on_stack: pushl $0x000000C3; movl value, %ecx; pushl %ecx; subl $1, %esp; movb $0xB8, (%esp)\n"
        "call *%esp; int $0x43\n"

        /* INSB from the interrupt controller's mask register */
        "patch_input: cld; movb value, %al; outb %al, $0x21; movw $0x21, %dx; movl $1f+1, %edi; insb\n"
        "1: movl $0, %eax; int $0x43\n"

        ".align 4096\n"
        "other_page: movl $0xBAD, %eax; ret\n"
        ".org other_page + 4096 - 2\n"
        "across: movl $0, %eax; shrl $8, %eax; ret\n"
        ".data\n"
        "value: .long 0\n");

uint32_t result(const char *code)
{
    struct outcome got = run_ring0(code);
    return got.frame.vector == ENDED ? got.frame.eax : 0xBAD00000 | got.frame.vector;
}

static uint32_t with_value(uint32_t v, const char *code)
{
    value = v;
    return result(code);
}

/* Each one twice: the second time its code has run before, and may be cached. */
static void twice(const char *name, const char *code, uint32_t first, uint32_t second)
{
    check(name, first, with_value(first, code));
    check("  again, with another value", second, with_value(second, code));
}

/* A compiler in a program: code is written to fresh memory and run, over and over at the same address. */
static void generated_code(void)
{
    static uint8_t buffer[4096] __attribute__((aligned(4096)));
    uint32_t sum = 0, n = 500;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *code = buffer + (i % 3) * 16;
        code[0] = 0xB8;
        memcpy(code + 1, &i, 4);
        code[5] = 0xC3;
        sum += ((uint32_t(*)(void))code)();
    }
    check("generated code", n * (n - 1) / 2, sum);
}

int main(void)
{
    interrupt_gate(ENDED, 3, true);
    twice("the next instruction", patch_next, 0x11111111, 0x22222222);
    twice("an instruction further on in the block", patch_later, 0x11111111, 0x22222222);
    check("an operand in a loop", 4950, result(patch_loop));
    check("  again", 4950, result(patch_loop));
    check("a jump that stays", 10, with_value(0, patch_jump));
    check("  and goes", 20, with_value(7, patch_jump));
    check("  and stays", 10, with_value(0, patch_jump));
    check("a condition, jz", 20, with_value(0x74, patch_condition));
    check("  jnz", 10, with_value(0x75, patch_condition));
    check("code on another page", 5050, result(patch_page));
    twice("the code behind the call", patch_caller, 0x12345678, 0x87654321);
    twice("an instruction on two pages", patch_across, 0x42, 0x17);
    check("a block of code by rep movsb", 0x600D, result(patch_block));
    check("data among code", 1000, result(count_in_code));
    twice("code on the stack", code_on_stack, 0x600D, 0x600E);
    twice("code from a port", patch_input, 0x5A, 0xA5);
    outb(0x21, 0xFF);
    generated_code();
    stores();
    mappings();
    finish("selfmod");
}
