/* The crystal: cell, orientation, size, and every orientation it takes (specification: crystal.md). */
#ifndef CRYSTAL_H
#define CRYSTAL_H

#include "random.h"
#include "request.h"
#include "steps.h"

typedef struct {
    Vec a, b, c;
} Basis;

typedef struct {
    Basis reciprocal; /* unrotated, 1/Angstrom */
    Basis direct;     /* at phi = 0, unmosaiced, metres */
    double volume;    /* cubic Angstrom */
    int count[3];
    Shape shape;
    double fudge;
    double extent[3]; /* metres */
} Crystal;

typedef struct {
    double start; /* phi of the first step */
    Steps phi;
    Domains mosaic;
    Vec spindle;
    Basis rest;  /* the cell at phi = 0, unmosaiced, metres */
    Mat *domain; /* one rotation per mosaic domain, the first is never applied */
} Orientations;

/* Limits the sample along y and z to the beam (crystal.md 7), with a warning. */
void clip_sample(Request *request);
/* Prints from "reading <matrix file>" to "crystal is ...". */
Crystal settle_crystal(const Request *request, double wavelength);
/* Draws the mosaic domains. */
Orientations settle_orientations(const Crystal *crystal, const Request *request, Steps phi, Domains mosaic,
                                 Vec spindle);
/* The cell of a phi step (crystal.md 9), and of a domain of it (crystal.md 10). */
Basis cell_at_phi(const Orientations *orientations, int step);
Basis cell_of_domain(const Orientations *orientations, const Basis *at_phi, int domain);
/* -oversample, or the advice of crystal.md 8. */
int settle_oversample(const Crystal *crystal, const Request *request, double wavelength, double distance,
                      double pixel);

/* cell.c: default orientation of a cell, its volume, and the six numbers of a basis. */
Basis reciprocal_from_cell(const double cell[6], double *volume);
void cell_numbers(const Basis *basis, const Basis *dual, double volume, double cell[6]);

#endif
