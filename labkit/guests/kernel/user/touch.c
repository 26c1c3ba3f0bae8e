/* touch N: asks for N pages and writes one byte to each: one page fault per page, the first time only. */
#include "user.h"

int main(const char *arguments)
{
    uint32_t pages = number(arguments, 16);
    char *heap = pages <= 0x7FFFF ? sbrk(pages * PAGE_SIZE) : (void *)-1;
    if (heap == (void *)-1) {
        print("touch: not so much memory\n");
        return 1;
    }
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < pages; i++)
            ((volatile char *)heap)[i * PAGE_SIZE] = (char)i;
    print("touched %u pages\n", pages);
    return 0;
}
