/* The protection unit's operations: INT 60h with the operation in EAX, operands in EBX, ECX, EDX, the result in EAX. */
#ifndef UNIT_H
#define UNIT_H

enum operation {
    OP_INSERT = 1,     /* EBX page, ECX frame, EDX rights | level << 3 | present << 5 | dirty << 6 | accessed << 7 | key << 8 */
    OP_PURGE = 2,      /* EBX page */
    OP_WRITE_KEY = 3,  /* EBX number, ECX word: valid 1, write 2, read 4, execute 8 disabled, key << 8 */
    OP_READ_KEY = 4,   /* EBX number -> word */
    OP_MODE = 5,       /* EBX: 1 translate addresses, 2 check keys */
    OP_VECTOR = 6,     /* EBX address of the handler, ECX its stack */
    OP_RETURN = 7,     /* from an interruption: EIP, ESP, EFLAGS, EAX, level as saved */
    OP_READ = 8,       /* EBX: 0 cause, 1 address, 2 EIP, 3 level, 4 ESP, 5 EAX of the interruption -> value */
    OP_WRITE = 9,      /* EBX: likewise, ECX value */
    OP_PROBE = 10,     /* EBX page, ECX access 1 read 2 write 4 execute, EDX level -> 1 or 0; not privileged */
    OP_PROMOTE = 11,   /* on a page with access rights 7: to that page's level -> level; not privileged */
    OP_DEMOTE = 12,    /* EBX level, not more privileged than the present one; not privileged */
    OP_CALL = 13,      /* interruption with cause 16; not privileged */
    OP_STOP = 14,      /* the end */
    OP_KEY_OF = 15,    /* EBX page -> key << 8, or 1 for a page without a present entry */
};

enum cause { CAUSE_CALL = 16, CAUSE_PRIVILEGED = 17, CAUSE_OPERAND = 18 };  /* below: the faults 1 to 7 | access << 8 */
enum saved { CAUSE, ADDRESS, EIP, LEVEL, ESP, SAVED_EAX };

static inline unsigned unit(unsigned operation, unsigned b, unsigned c, unsigned d)
{
    __asm__ volatile("int $0x60" : "+a"(operation) : "b"(b), "c"(c), "d"(d) : "memory");
    return operation;
}

#endif
