/* Prints the generator's test vectors: "uniform N", "rotation N" and "poisson MEAN" lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/random.h"

static void print_rotation(Stream stream)
{
    draw_rotation((float)(1.0 / DEGREES_PER_RADIAN), &stream);
    for (int m = 1; m < 3; m++) {
        Mat u = draw_rotation((float)(1.0 / DEGREES_PER_RADIAN), &stream);
        for (int i = 0; i < 3; i++) printf("%.12g %.12g %.12g ", u.row[i].x, u.row[i].y, u.row[i].z);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) return 1;
    Stream stream = -7;
    if (strcmp(argv[1], "uniform") == 0) {
        stream = -atoll(argv[2]);
        for (int i = 0; i < 6; i++) printf("%.9g ", draw_uniform(&stream));
    } else if (strcmp(argv[1], "rotation") == 0) {
        print_rotation(-atoll(argv[2]));
    } else {
        for (int i = 0; i < 4; i++) printf("%.10g ", draw_poisson((float)atof(argv[2]), &stream));
    }
    putchar('\n');
    return 0;
}
