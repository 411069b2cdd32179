# The DAG of a study: one generic rule over the plan that `xit study` writes (with --profile: on a cluster).
# Paths are relative to the working folder, which has links to the real ones: names with braces or spaces mean nothing here.
import json

with open(config["plan"], encoding="utf-8") as file:
    PLAN = json.load(file)
JOBS = {job["id"]: job for job in PLAN["jobs"]}  # only what is not finished: `--forceall` runs exactly these
PRIORITY = {id: len(JOBS) - i for i, id in enumerate(JOBS)}  # of what can start, what stands first in the plan does


wildcard_constraints:
    id="|".join(map(re.escape, JOBS)),


rule all:
    input:
        [job["output"] for job in JOBS.values()],


rule notebook:
    input:
        lambda wildcards: [JOBS[parent]["output"] for parent in JOBS[wildcards.id]["needs"]],
    output:
        "executed/{id}.ipynb",
    log:
        "logs/{id}.log",
    params:
        command=lambda wildcards: JOBS[wildcards.id]["command"],
    threads: 1
    # for a cluster; the plan of one machine has none
    resources:
        runtime=lambda wildcards: JOBS[wildcards.id].get("minutes", 0),
        mem_mb=lambda wildcards: JOBS[wildcards.id].get("mem_mb", 0),
    priority: lambda wildcards: PRIORITY[wildcards.id]
    shell:
        "{params.command} >{log:q} 2>&1"
