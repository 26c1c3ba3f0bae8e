/* The terminal's line discipline: keys become lines, with echo, backspace, Ctrl-U (drop line) and Ctrl-C (kill).
 * Typing ahead works: a program gets its line when it asks for it.
 */
#include "terminal.h"

#include <stdint.h>

#include "console.h"
#include "memory.h"
#include "process.h"
#include "scheduler.h"
#include "serial.h"

#define SIZE 1024
#define CTRL(letter) ((letter) & 0x1F)
#define DELETE 0x7F

/* read_at <= line_at <= write_at, all counting up for ever:
 *   ... | finished lines, not yet read | line being typed | free ...
 */
static char buffer[SIZE];
static uint32_t read_at, line_at, write_at;

bool terminal_has_room(void)
{
    return write_at - read_at < SIZE - 1;
}

static void erase_one(void)
{
    if (write_at == line_at)
        return;
    write_at--;
    console_write("\b \b", 3);
}

static void interrupt_key(void)
{
    console_write("^C\n", 3);
    write_at = line_at;
    kill_foreground();
}

void terminal_receive(char c)
{
    if (c == '\r')
        c = '\n';
    if (c == CTRL('C')) {
        interrupt_key();
    } else if (c == '\b' || c == DELETE) {
        erase_one();
    } else if (c == CTRL('U')) {
        while (write_at != line_at)
            erase_one();
    } else if (c == '\n' || c >= ' ') {
        buffer[write_at++ % SIZE] = c;
        console_write(&c, 1);
        if (c == '\n' || !terminal_has_room()) {
            line_at = write_at;
            wake(buffer);
        }
    }
}

size_t terminal_read(char *to, size_t size)
{
    size_t n = 0;
    while (read_at == line_at)
        sleep_on(buffer);
    while (n < size && read_at != line_at) {
        char c = buffer[read_at++ % SIZE];
        to[n++] = c;
        if (c == '\n')
            break;
    }
    serial_resume_input();
    return n;
}

void terminal_write(const char *from, size_t size)
{
    char piece[128]; /* copied first: touching the program's memory may fault */
    while (size) {
        size_t n = size < sizeof piece ? size : sizeof piece;
        memcpy(piece, from, n);
        while (serial_room() < 2 * n) /* a line end becomes two characters */
            sleep_on(serial_room_channel());
        console_write(piece, n);
        from += n;
        size -= n;
    }
}
