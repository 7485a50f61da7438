"""What is read from and written to the tables: plain functions of a connection, one module a noun.

Each is run by `Database.read` or `Database.write`, alone or several together in one transaction.
"""
