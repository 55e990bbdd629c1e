/* The limit: which fences hold each point, and what changed since the mover's point before, in plain C.

   A grid of cells over all fences; a cell lists, in order, the fences whose boxes reach into it. A point asks those of
   its cell: box first, then the crossings of a ray to the east. A mover's set is an ordered list; the new one is
   compared with it by one walk over both. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int32_t *at; int64_t count, room; } list;
typedef struct { double west, south, east, north; int64_t first, last; } fence;  /* edges first .. last - 1 */
typedef struct { double ax, ay, by, slope; } edge;

typedef struct {
    fence *fences; edge *edges;
    double west, south, per_x, per_y; int columns, rows;
    int64_t *cell_first; int32_t *cell_fences;
    list *sets;                                  /* of each mover */
    int movers;
    list here, entered, left, inside, inside_first;
} kernel;

static void push(list *to, int32_t value) {
    if (to->count == to->room) {
        to->room = to->room ? 2 * to->room : 64;
        to->at = realloc(to->at, to->room * sizeof *to->at);
    }
    to->at[to->count++] = value;
}

static int clamp(int value, int count) { return value < 0 ? 0 : value >= count ? count - 1 : value; }
static int column(const kernel *k, double x) { return clamp((int)((x - k->west) * k->per_x), k->columns); }
static int row(const kernel *k, double y) { return clamp((int)((y - k->south) * k->per_y), k->rows); }

static void fill_cells(kernel *k, int fences) {
    int64_t cells = (int64_t)k->columns * k->rows, *next = calloc(cells + 1, sizeof *next);
    for (int pass = 0; pass < 2; pass++) {       /* count, then write */
        for (int number = 0; number < fences; number++) {
            const fence *f = k->fences + number;
            for (int r = row(k, f->south); r <= row(k, f->north); r++)
                for (int c = column(k, f->west); c <= column(k, f->east); c++) {
                    int64_t cell = (int64_t)r * k->columns + c;
                    if (pass) k->cell_fences[next[cell]++] = number; else k->cell_first[cell + 1]++;
                }
        }
        if (pass) break;
        for (int64_t cell = 0; cell < cells; cell++) k->cell_first[cell + 1] += k->cell_first[cell];
        memcpy(next, k->cell_first, cells * sizeof *next);
        k->cell_fences = malloc((k->cell_first[cells] + 1) * sizeof *k->cell_fences);
    }
    free(next);
}

/* Ring r has the positions ring_first[r] .. ring_first[r + 1] - 1, the last the first again; fence f has the rings
   fence_first[f] .. fence_first[f + 1] - 1. */
kernel *kernel_new(const double *x, const double *y, const int64_t *ring_first, const int64_t *fence_first, int fences,
                   int movers, int cells_a_side) {
    kernel *k = calloc(1, sizeof *k);
    int64_t positions = ring_first[fence_first[fences]], edges = 0;
    k->fences = malloc(fences * sizeof *k->fences);
    k->edges = malloc(positions * sizeof *k->edges);
    double west = x[0], east = x[0], south = y[0], north = y[0];
    for (int number = 0; number < fences; number++) {
        int64_t start = ring_first[fence_first[number]];
        fence f = {x[start], y[start], x[start], y[start], edges, edges};
        for (int64_t ring = fence_first[number]; ring < fence_first[number + 1]; ring++)
            for (int64_t at = ring_first[ring]; at < ring_first[ring + 1]; at++) {
                if (x[at] < f.west) f.west = x[at];
                if (x[at] > f.east) f.east = x[at];
                if (y[at] < f.south) f.south = y[at];
                if (y[at] > f.north) f.north = y[at];
                if (at + 1 == ring_first[ring + 1] || y[at] == y[at + 1]) continue;
                k->edges[edges++] = (edge){x[at], y[at], y[at + 1], (x[at + 1] - x[at]) / (y[at + 1] - y[at])};
            }
        f.last = edges;
        k->fences[number] = f;
        if (f.west < west) west = f.west;
        if (f.east > east) east = f.east;
        if (f.south < south) south = f.south;
        if (f.north > north) north = f.north;
    }
    k->columns = k->rows = cells_a_side;
    k->west = west; k->south = south;
    k->per_x = cells_a_side / (east - west); k->per_y = cells_a_side / (north - south);
    k->cell_first = calloc((int64_t)k->columns * k->rows + 1, sizeof *k->cell_first);
    fill_cells(k, fences);
    k->sets = calloc(movers, sizeof *k->sets);
    k->movers = movers;
    return k;
}

/* Forgets where the movers were, and the events. */
void kernel_reset(kernel *k) {
    for (int mover = 0; mover < k->movers; mover++) k->sets[mover].count = 0;
    k->entered.count = k->left.count = k->inside.count = k->inside_first.count = 0;
}

void kernel_free(kernel *k) {
    for (int mover = 0; mover < k->movers; mover++) free(k->sets[mover].at);
    free(k->fences); free(k->edges); free(k->cell_first); free(k->cell_fences); free(k->sets);
    free(k->here.at); free(k->entered.at); free(k->left.at); free(k->inside.at); free(k->inside_first.at);
    free(k);
}

static int holds(const kernel *k, const fence *f, double x, double y) {
    if (x < f->west || x > f->east || y < f->south || y > f->north) return 0;
    int inside = 0;
    for (const edge *e = k->edges + f->first; e < k->edges + f->last; e++)
        if ((e->ay > y) != (e->by > y) && e->ax + (y - e->ay) * e->slope > x) inside = !inside;
    return inside;
}

static void locate(kernel *k, double x, double y) {
    int64_t cell = (int64_t)row(k, y) * k->columns + column(k, x);
    k->here.count = 0;
    for (int64_t at = k->cell_first[cell]; at < k->cell_first[cell + 1]; at++)
        if (holds(k, k->fences + k->cell_fences[at], x, y)) push(&k->here, k->cell_fences[at]);
}

static void compare(const list *was, const list *is, int32_t fix, int pairs, list *entered, list *left) {
    int64_t i = 0, j = 0;
    if (was->count == is->count && is->count && !memcmp(was->at, is->at, is->count * sizeof *is->at)) return;
    while (i < was->count || j < is->count) {
        if (i < was->count && j < is->count && was->at[i] == is->at[j]) { i++; j++; continue; }
        int gone = j == is->count || (i < was->count && was->at[i] < is->at[j]);
        list *to = gone ? left : entered;
        if (pairs) push(to, fix);
        push(to, gone ? was->at[i++] : is->at[j++]);
    }
}

static void swap(list *one, list *other) { list kept = *one; *one = *other; *other = kept; }

/* Adds to entered and left (fix, fence, fix, fence …) and inside (fences; those of fix n end at inside_first[n]). */
void kernel_batch(kernel *k, const int32_t *mover, const double *x, const double *y, int32_t fixes) {
    for (int32_t fix = 0; fix < fixes; fix++) {
        locate(k, x[fix], y[fix]);
        compare(k->sets + mover[fix], &k->here, fix, 1, &k->entered, &k->left);
        for (int64_t at = 0; at < k->here.count; at++) push(&k->inside, k->here.at[at]);
        push(&k->inside_first, (int32_t)k->inside.count);
        swap(k->sets + mover[fix], &k->here);
    }
}

/* One fix: the fences entered, left and around it, written to the caller's arrays, and how many of each. */
void kernel_fix(kernel *k, int32_t mover, double x, double y, int32_t *entered, int32_t *left, int32_t *inside,
                int32_t *counts) {
    k->entered.count = k->left.count = 0;
    locate(k, x, y);
    compare(k->sets + mover, &k->here, 0, 0, &k->entered, &k->left);
    memcpy(entered, k->entered.at, k->entered.count * sizeof *entered);
    memcpy(left, k->left.at, k->left.count * sizeof *left);
    memcpy(inside, k->here.at, k->here.count * sizeof *inside);
    counts[0] = k->entered.count; counts[1] = k->left.count; counts[2] = k->here.count;
    swap(k->sets + mover, &k->here);
}

/* entered, left, inside, inside_first: their numbers and how many. */
const int32_t *kernel_list(const kernel *k, int which, int64_t *count) {
    const list *lists[] = {&k->entered, &k->left, &k->inside, &k->inside_first};
    *count = lists[which]->count;
    return lists[which]->at;
}
