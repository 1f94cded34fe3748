"""Mutation testing of exercise checks: change a solution in one place at a time, and see which checks notice."""
