/* The terminal's line discipline: keys become lines; backspace, Ctrl-U (drop the line), Ctrl-C (kill).
 * Typing ahead works: a program gets its line when it asks for it, and only then is the line shown, so that
 * what is on the screen reads like a conversation.
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

/* All count up for ever; read_at <= line_at <= write_at, and read_at <= shown_at <= write_at.
 *   ... | finished lines, not yet read | line being typed | free ...
 *       read_at                        line_at            write_at
 */
static char buffer[SIZE];
static uint32_t read_at, line_at, write_at, shown_at;
static bool reader_waits;

bool terminal_has_room(void)
{
    return write_at - read_at < SIZE - 1;
}

/* Show what is not shown yet, but no more than one line. */
static void show(void)
{
    char c = 0;
    while (shown_at != write_at && c != '\n') {
        char piece[64];
        size_t n = 0;
        while (shown_at != write_at && c != '\n' && n < sizeof piece)
            piece[n++] = c = buffer[shown_at++ % SIZE];
        console_write(piece, n);
    }
}

static void erase_one(void)
{
    if (write_at == line_at)
        return;
    if (shown_at == write_at--) {
        shown_at--;
        console_write("\b \b", 3);
    }
}

static void end_line(void)
{
    line_at = write_at;
    reader_waits = false;
    wake(buffer);
}

/* Drop the line, end the programs in the foreground; a shell that waits for a line gets an empty one. */
static void interrupt_key(void)
{
    bool shell_waits = reader_waits;
    console_write("^C\n", 3);
    if (shown_at - line_at <= write_at - line_at)
        shown_at = line_at;
    write_at = line_at;
    if (shell_waits) {
        buffer[write_at++ % SIZE] = '\n';
        shown_at = write_at;
        end_line();
    }
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
        if (reader_waits)
            show();
        if (c == '\n' || !terminal_has_room())
            end_line();
    }
}

size_t terminal_read(char *to, size_t size)
{
    size_t n = 0;
    show();
    while (read_at == line_at) {
        reader_waits = true;
        sleep_on(buffer);
    }
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
