/* Every kind of store must be noticed. Each writes 12345678h into the operand of the next instruction. */
#include "selfmod.h"

#define STORE(name, before, instruction) \
    extern char name[]; \
    __asm__(".text\n" #name ": movl $0, " #name "_operand; movl $0x12345678, %eax; movl %esp, %ebp\n" \
            before "\n" instruction "\n" \
            ".byte 0xB8\n" #name "_operand: .long 0\n" \
            "movl %ebp, %esp\n" END "\n")

STORE(by_mov, "", "movl %eax, by_mov_operand");
STORE(by_two_halves, "movl %eax, %edx; shrl $16, %edx",
      "movw %ax, by_two_halves_operand; movw %dx, by_two_halves_operand+2");
STORE(by_bytes, "movl %eax, %edx; shrl $16, %edx",
      "movb %al, by_bytes_operand; movb %ah, by_bytes_operand+1; movb %dl, by_bytes_operand+2; "
      "movb %dh, by_bytes_operand+3");
STORE(by_add, "", "addl %eax, by_add_operand");
STORE(by_or, "", "lock orl %eax, by_or_operand");
STORE(by_xchg, "", "xchgl %eax, by_xchg_operand");
STORE(by_xadd, "", "lock xaddl %eax, by_xadd_operand");
STORE(by_cmpxchg, "movl %eax, %edx; xorl %eax, %eax", "lock cmpxchgl %edx, by_cmpxchg_operand");
STORE(by_cmpxchg8b,
      "movl $0x12345678, %ebx; xorl %eax, %eax; movl by_cmpxchg8b_operand+4, %edx; movl %edx, %ecx",
      "lock cmpxchg8b by_cmpxchg8b_operand");
STORE(by_push, "movl $by_push_operand+4, %esp", "pushl %eax");
STORE(by_pop, "pushl %eax", "popl by_pop_operand");
STORE(by_stos, "cld; movl $by_stos_operand, %edi", "stosl");
STORE(by_movs, "cld; pushl %eax; movl %esp, %esi; movl $by_movs_operand, %edi", "movsl");
STORE(by_fistp, "fninit; pushl %eax; fildl (%esp)", "fistpl by_fistp_operand");
STORE(by_bts, "movl $0x12345670, by_bts_operand", "btsl $3, by_bts_operand");
STORE(by_neg, "movl $0xEDCBA988, by_neg_operand", "negl by_neg_operand");
STORE(by_shld, "movl $0x00001234, by_shld_operand; movl $0x56780000, %edx",
      "shldl $16, %edx, by_shld_operand");

void stores(void)
{
    static const struct {
        const char *name, *code;
    } all[] = {
        {"store by mov", by_mov},
        {"store by two halves", by_two_halves},
        {"store by bytes", by_bytes},
        {"store by add", by_add},
        {"store by lock or", by_or},
        {"store by xchg", by_xchg},
        {"store by lock xadd", by_xadd},
        {"store by lock cmpxchg", by_cmpxchg},
        {"store by lock cmpxchg8b", by_cmpxchg8b},
        {"store by push", by_push},
        {"store by pop", by_pop},
        {"store by stos", by_stos},
        {"store by movs", by_movs},
        {"store by fistp", by_fistp},
        {"store by neg", by_neg},
        {"store by shld", by_shld},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        check(all[i].name, 0x12345678, result(all[i].code));
        check("  again", 0x12345678, result(all[i].code));
    }
    check("store by bts", 0x12345678, result(by_bts));
}
