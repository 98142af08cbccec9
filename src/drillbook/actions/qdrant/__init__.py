"""Actions for collections of vectors in Qdrant."""
