"""Every door tried with wrong input: nothing that is read may end as a bug, hang, or be taken for something else."""
